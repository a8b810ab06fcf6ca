import { script } from './redis-master.js';
import { bucketsOfBudget } from './store.js';

/**
 * The steps of the memory store as Lua scripts, on the clock of Redis. They return durations, because its clients' clocks differ.
 *
 * A history is a string: its times in milliseconds, and its owner if it has one, such as `1764150000000,1764150030000;301000000000000101`.
 * A budget is a hash of counts: field `29402500` counts the settled calls in that bucket, `f1764150011` the reservations that end in that second.
 */
const shared = `
local args = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = now + args.hold

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
  redis.call('SET', key, text, 'PX', history.longest + args.hold)
end

-- Drops the times that are too old to count. A time after the latest possible one was stored before the clock was set back.
local function read(key, limits)
  local longest = #limits > 0 and limits[#limits][2] or 0
  local history = { times = {}, longest = longest }
  local list, owner = string.match(redis.call('GET', key) or '', '^([%d,]*);?(.*)$')
  for text in string.gmatch(list, '%d+') do
    local time = tonumber(text)
    if time > latest then
      time = latest
      history.isCorrected = true
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

for i, wanted in ipairs(args.histories) do
  local history = read(KEYS[i], wanted.limits)
  histories[i] = history
  local settled = #history.times - after(history.times, now)
  local opens, isBusy = 0, false
  for n, limit in ipairs(wanted.limits) do
    if n > 1 and history.owner and history.owner == wanted.user then break end
    local since = now - limit[2]
    local first = history.times[settled - limit[1] + 1]
    if first and first > since then opens = math.max(opens, first - since) end
    if after(history.times, since) >= limit[1] then isBusy = true end
  end
  note(i, opens, isBusy)
end

for i, budget in ipairs(args.budgets) do
  local key, excess, ms = KEYS[#args.histories + i], -budget[1], budget[2]
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
      -- Stored before the clock was set back.
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
  note(#args.histories + i, 0, excess + inFlight >= 0)
  table.sort(buckets, function(one, other) return one[1] < other[1] end)
  for _, bucket in ipairs(excess >= 0 and buckets or {}) do
    excess = excess - bucket[2]
    -- All calls in a bucket stop counting together, once even the last one must have left the window.
    if excess < 0 then note(#args.histories + i, (bucket[1] + ${bucketsOfBudget + 1}) * ms - now, false) break end
  end
end

if full > 0 or busy > 0 then
  for i, history in ipairs(histories) do if history.isCorrected then write(KEYS[i], history) end end
  return full > 0 and { 'full', full - 1, opensIn } or { 'busy', busy - 1 }
end
for i, history in ipairs(histories) do
  insert(history.times, latest)
  write(KEYS[i], history)
end
for i, budget in ipairs(args.budgets) do
  local key = KEYS[#args.histories + i]
  redis.call('HINCRBY', key, 'f' .. string.format('%.0f', math.floor(latest / 1000)), 1)
  redis.call('PEXPIRE', key, budget[2] * ${bucketsOfBudget + 1} + args.hold + 1000)
end
return { 'reserved', latest }
`);

/** Settles a reservation. The remaining keys are pairs: a history to clear, and the mark that it was cleared. */
export const settle = script(`${shared}
local wasReserved = false
local standings = {}
for i, wanted in ipairs(args.histories) do
  local history = read(KEYS[i], wanted.limits)
  local settlement = args.settlements[i]
  for n, time in ipairs(history.times) do
    if time == args.at then
      table.remove(history.times, n)
      if i == 1 then wasReserved = true end
      break
    end
  end
  if settlement ~= 'remove' then
    local early = settlement == 'keep' and 0 or math.max(0, history.longest - settlement)
    -- If the call had an effect, it was before now, and before the reserved time.
    insert(history.times, math.min(args.at, now - early))
    history.owner = history.owner or wanted.user
  end
  local largest = #wanted.limits > 0 and wanted.limits[#wanted.limits][1] or 0
  for _ = 1, #history.times - after(history.times, now) - largest do table.remove(history.times, 1) end
  standings[i] = standing(history, wanted.limits)
  write(KEYS[i], history)
end
for i, budget in ipairs(args.budgets) do
  local key = KEYS[#args.histories + i]
  local flight = 'f' .. string.format('%.0f', math.floor(args.at / 1000))
  -- If the history has lost the reservation, the budget may have too. Then this would release another call's.
  if wasReserved and tonumber(redis.call('HGET', key, flight) or 0) > 0 then
    if redis.call('HINCRBY', key, flight, -1) == 0 then redis.call('HDEL', key, flight) end
  end
  if args.settlements[1] ~= 'remove' then
    redis.call('HINCRBY', key, string.format('%.0f', math.floor(math.min(args.at, now) / budget[2])), 1)
    redis.call('PEXPIRE', key, budget[2] * ${bucketsOfBudget + 1} + args.hold + 1000)
  end
end
for i = #args.histories + #args.budgets + 1, #KEYS, 2 do
  redis.call('DEL', KEYS[i])
  redis.call('SET', KEYS[i + 1], '', 'PX', args.markMs)
end
return standings
`);

/** What each history allows now. All must be of the same kind. */
export const standings = script(`${shared}
local all = {}
for i, key in ipairs(KEYS) do all[i] = standing(read(key, args.limits), args.limits) end
return all
`);

/** How many calls a history allows, if it was cleared; otherwise 0. */
export const wasCleared = script(`${shared}
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
return standing(read(KEYS[1], args.limits), args.limits)[2]
`);
