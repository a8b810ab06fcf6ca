import { script } from './redis-connection.js';
import { bucketsOfBudget } from './store.js';

/**
 * The steps of the memory store as Lua scripts, on the clock of Redis. They return durations, since the clocks of its clients differ.
 *
 * A history is a string: its times in milliseconds, and its owner if it has one, such as `1764150000000,1764150030000;301000000000000101`.
 * A budget is a hash of counts: field `29402500` is the settled calls of that bucket, `f1764150011` the reservations that end in that second.
 */
const shared = `
local ask = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = now + ask.hold

local function after(times, moment)
  local count = 0
  for i = #times, 1, -1 do
    if times[i] <= moment then break end
    count = count + 1
  end
  return count
end

local function insert(times, time)
  local i = #times
  while i > 0 and times[i] > time do i = i - 1 end
  table.insert(times, i + 1, time)
end

local function write(key, history)
  if #history.times == 0 then return redis.call('DEL', key) end
  for i, time in ipairs(history.times) do history.times[i] = string.format('%.0f', time) end
  local text = table.concat(history.times, ',')
  if history.owner then text = text .. ';' .. history.owner end
  redis.call('SET', key, text, 'PX', history.longest + ask.hold)
end

-- Without the times that are too old to count. A time after the latest possible one is from before the clock was set back.
local function read(key, limits)
  local longest = #limits > 0 and limits[#limits][2] or 0
  local history = { times = {}, longest = longest }
  local list, owner = string.match(redis.call('GET', key) or '', '^([%d,]*);?(.*)$')
  for text in string.gmatch(list, '%d+') do
    local time = tonumber(text)
    if time > latest then
      time = latest
      history.isMended = true
    end
    if time > now - longest then table.insert(history.times, time) end
  end
  if owner ~= '' and #history.times > 0 then history.owner = owner end
  return history
end

-- Counts a call in flight as if its SMS had been sent now.
local function standing(history, limits)
  local opensIn, remaining = 0, #limits > 0 and limits[#limits][1] or 0
  for _, limit in ipairs(limits) do
    local since = now - limit[2]
    remaining = math.min(remaining, math.max(0, limit[1] - after(history.times, since)))
    local first = history.times[#history.times - limit[1] + 1]
    if first and first > since then opensIn = math.max(opensIn, math.min(first, now) - since) end
  end
  return { opensIn, remaining, history.owner }
end
`;

/** Reserves in all histories and budgets, or in none. */
export const reserve = script(`${shared}
local histories, opensIn, full, busy = {}, 0, 0, 0

local function note(index, opens, isBusy)
  if opens > opensIn then opensIn, full = opens, index end
  if isBusy and busy == 0 then busy = index end
end

for i, asked in ipairs(ask.histories) do
  local history = read(KEYS[i], asked.limits)
  histories[i] = history
  local settled = #history.times - after(history.times, now)
  local opens, isBusy = 0, false
  for n, limit in ipairs(asked.limits) do
    if n > 1 and history.owner and history.owner == asked.user then break end
    local since = now - limit[2]
    local first = history.times[settled - limit[1] + 1]
    if first and first > since then opens = math.max(opens, first - since) end
    if after(history.times, since) >= limit[1] then isBusy = true end
  end
  note(i, opens, isBusy)
end

for i, budget in ipairs(ask.budgets) do
  local key, excess, ms = KEYS[#ask.histories + i], -budget[1], budget[2]
  local oldest = math.floor(now / ms) - ${bucketsOfBudget}
  local buckets, inFlight = {}, 0
  local fields = redis.call('HGETALL', key)
  for f = 1, #fields, 2 do
    local flight, number = string.match(fields[f], '^(f?)(%d+)$')
    local calls = tonumber(fields[f + 1])
    local unit = flight == 'f' and 1000 or ms
    local kept = math.min(tonumber(number), math.floor(latest / unit))
    local bucket = flight == 'f' and math.floor((kept + 1) * 1000 / ms) or kept
    if bucket < oldest then
      redis.call('HDEL', key, fields[f])
    elseif kept < tonumber(number) then
      -- From before the clock was set back.
      redis.call('HDEL', key, fields[f])
      redis.call('HINCRBY', key, flight .. string.format('%.0f', kept), calls)
    end
    if flight == 'f' and (kept + 1) * 1000 > now then
      inFlight = inFlight + calls
    elseif bucket >= oldest then
      table.insert(buckets, { bucket, calls })
      excess = excess + calls
    end
  end
  note(#ask.histories + i, 0, excess + inFlight >= 0)
  table.sort(buckets, function(one, other) return one[1] < other[1] end)
  for _, bucket in ipairs(excess >= 0 and buckets or {}) do
    excess = excess - bucket[2]
    -- All calls of a bucket stop counting together, when the last of them must have left the window.
    if excess < 0 then note(#ask.histories + i, (bucket[1] + ${bucketsOfBudget + 1}) * ms - now, false) break end
  end
end

if full > 0 or busy > 0 then
  for i, history in ipairs(histories) do if history.isMended then write(KEYS[i], history) end end
  return full > 0 and { 'full', full - 1, opensIn } or { 'busy', busy - 1 }
end
for i, history in ipairs(histories) do
  insert(history.times, latest)
  write(KEYS[i], history)
end
for i, budget in ipairs(ask.budgets) do
  local key = KEYS[#ask.histories + i]
  redis.call('HINCRBY', key, 'f' .. string.format('%.0f', math.floor(latest / 1000)), 1)
  redis.call('PEXPIRE', key, budget[2] * ${bucketsOfBudget + 1} + ask.hold + 1000)
end
return { 'reserved', latest }
`);

/** Ends a reservation. The other keys are pairs: a history to clear, and the mark that it was cleared. */
export const settle = script(`${shared}
local wasThere = false
local standings = {}
for i, asked in ipairs(ask.histories) do
  local history = read(KEYS[i], asked.limits)
  local settlement = ask.settlements[i]
  for n, time in ipairs(history.times) do
    if time == ask.at then
      table.remove(history.times, n)
      if i == 1 then wasThere = true end
      break
    end
  end
  if settlement ~= 'remove' then
    local early = settlement == 'keep' and 0 or math.max(0, history.longest - settlement)
    -- The call can have had an effect no later than now, and no later than its reservation.
    insert(history.times, math.min(ask.at, now - early))
    history.owner = history.owner or asked.user
  end
  local largest = #asked.limits > 0 and asked.limits[#asked.limits][1] or 0
  for _ = 1, #history.times - after(history.times, now) - largest do table.remove(history.times, 1) end
  standings[i] = standing(history, asked.limits)
  write(KEYS[i], history)
end
for i, budget in ipairs(ask.budgets) do
  local key = KEYS[#ask.histories + i]
  local flight = 'f' .. string.format('%.0f', math.floor(ask.at / 1000))
  -- If the history has lost the reservation, the budget may have too: then this one would be another call's.
  if wasThere and tonumber(redis.call('HGET', key, flight) or 0) > 0 then
    if redis.call('HINCRBY', key, flight, -1) == 0 then redis.call('HDEL', key, flight) end
  end
  if ask.settlements[1] ~= 'remove' then
    redis.call('HINCRBY', key, string.format('%.0f', math.floor(math.min(ask.at, now) / budget[2])), 1)
    redis.call('PEXPIRE', key, budget[2] * ${bucketsOfBudget + 1} + ask.hold + 1000)
  end
end
for i = #ask.histories + #ask.budgets + 1, #KEYS, 2 do
  redis.call('DEL', KEYS[i])
  redis.call('SET', KEYS[i + 1], '', 'PX', ask.markMs)
end
return standings
`);

/** What each history allows now. All must be of one kind. */
export const standings = script(`${shared}
local all = {}
for i, key in ipairs(KEYS) do all[i] = standing(read(key, ask.limits), ask.limits) end
return all
`);

/** How many calls a history allows, if it was cleared; otherwise 0. */
export const wasCleared = script(`${shared}
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
return standing(read(KEYS[1], ask.limits), ask.limits)[2]
`);
