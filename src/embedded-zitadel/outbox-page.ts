import type { Sms } from './answers.js';

/** Replaces characters with references, even line breaks, which would end an event. */
const escape = (text: string) => text.replace(/[&<>"'\r\n]/g, (character) => `&#${character.charCodeAt(0)};`);

/** The HTML of one SMS, on one line. */
export function item({ userId, number, code, sentAt }: Sms & { sentAt: Date }): string {
  const time = sentAt.toISOString();
  return (
    `<li><p class="code"><code>${escape(code)}</code> ` +
    `<button type="button" aria-label="Copy ${escape(code)}" data-code="${escape(code)}">Copy</button></p>` +
    `<p class="to"><strong>${escape(number || 'no number')}</strong> <time datetime="${time}">${time}</time></p>` +
    `<p class="user">User ${escape(userId)}</p></li>`
  );
}

/**
 * @param items in the order in which they were sent
 * @param lastEventId the id of the event of the last one
 */
export function page(items: readonly string[], lastEventId: string, hasPlayground: boolean): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Outbox (${items.length})</title>
<link rel="stylesheet" href="/outbox/style.css">
<script src="/outbox/script.js" defer></script>
</head>
<body>
<main>
<header>
<h1>Outbox</h1>
${hasPlayground ? '<nav><a href="/playground/">Playground</a></nav>' : ''}
</header>
<p>The SMS that the demo would have sent, latest first. They are lost when it stops.</p>
<p id="connection" role="status">Reload this page to see new SMS.</p>
<ol id="sent" reversed data-last-event-id="${escape(lastEventId)}">${items.toReversed().join('')}</ol>
<p class="empty">Nothing yet. Set a phone, or resend its code.</p>
<p id="announcement" role="status"></p>
</main>
</body>
</html>
`;
}

export const style = `
:root { --text: #1c2330; --soft: #586174; --line: #dfe3ea; --page: #f5f6f8; --card: #fff; --accent: #1d4ed8; --on-accent: #fff; --live: #15803d; --lost: #b45309 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8ebf1; --soft: #a3adbf; --line: #2d3543; --page: #11151c; --card: #1a202b; --accent: #93b4ff; --on-accent: #11151c; --live: #4ade80; --lost: #fbbf24 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem 4rem }
header { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.25 }
p { margin: .25rem 0; color: var(--soft) }
a { color: var(--accent) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
#connection::before { content: ""; display: inline-block; width: .6em; height: .6em; margin-right: .5em; border-radius: 50%; background: var(--soft) }
#connection[data-state=live]::before { background: var(--live) }
#connection[data-state=lost]::before { background: var(--lost) }
ol { list-style: none; margin: 1.5rem 0 0; padding: 0; display: grid; gap: .75rem }
li { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .75rem 1rem }
li p { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0 1rem; margin: 0 }
li .user { font-size: .875rem }
code { color: var(--text); font: 600 1.5rem/1.5 ui-monospace, monospace; letter-spacing: .1em }
strong { color: var(--text); font-weight: 500 }
time { font-variant-numeric: tabular-nums }
button { min-width: 5.5rem; min-height: 2.25rem; border: 1px solid var(--accent); border-radius: .5rem; background: none; color: var(--accent); font: inherit; cursor: pointer }
button:hover, button.copied { background: var(--accent); color: var(--on-accent) }
.empty { display: none; margin-top: 1.5rem; padding: 3rem 1rem; border: 1px dashed var(--soft); border-radius: .75rem; text-align: center }
ol:empty { display: none }
ol:empty + .empty { display: block }
#announcement { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%) }
`;

export const script = `
const list = document.getElementById('sent');
const connection = document.getElementById('connection');
const announcement = document.getElementById('announcement');

function show(state, text) {
  connection.dataset.state = state;
  // A screen reader would repeat the same text.
  if (connection.textContent !== text) connection.textContent = text;
}

// Emptied first, since a screen reader announces only changes.
function announce(text) {
  announcement.textContent = '';
  setTimeout(() => (announcement.textContent = text), 50);
}

function update() {
  document.title = 'Outbox (' + list.children.length + ')';
  for (const time of list.querySelectorAll('time:not([title])')) {
    const sentAt = new Date(time.dateTime);
    time.textContent = sentAt.toLocaleTimeString();
    time.title = sentAt.toLocaleString();
  }
}

// Only pages of a secure origin, such as 127.0.0.1, have a clipboard.
async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.code);
    return true;
  } catch {
    getSelection().selectAllChildren(button.parentElement.querySelector('code'));
    return document.execCommand('copy');
  }
}

function label(button, text) {
  button.textContent = text;
  button.ariaLabel = text + ' ' + button.dataset.code;
  button.classList.toggle('copied', text === 'Copied');
}

list.addEventListener('click', async ({ target }) => {
  const button = target.closest('button');
  if (!button) return;
  const isCopied = await copy(button);
  announce(isCopied ? 'Copied' : 'The code is selected: press Ctrl+C');
  if (!isCopied) return;
  label(button, 'Copied');
  setTimeout(() => label(button, 'Copy'), 2000);
});

const events = new EventSource('/outbox/events?after=' + list.dataset.lastEventId);
let live = 'New SMS appear here at once.';
events.addEventListener('open', () => show('live', live));
events.addEventListener('error', () => show('lost', 'The demo does not answer. Reconnecting…'));
events.addEventListener('restart', () => {
  list.replaceChildren();
  live = 'The demo was restarted, so earlier SMS are lost. New SMS appear here at once.';
  show('live', live);
  update();
});
events.addEventListener('sms', ({ data }) => {
  list.insertAdjacentHTML('afterbegin', data);
  announce('New SMS');
  update();
});
update();
`;
