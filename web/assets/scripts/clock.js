// Times in words, and waiting. Times follow the server's clock, because a phone's
// can be wrong and the server's decides what has run out.

/** Milliseconds by which the server's clock is ahead of this phone's. */
const ahead = serverTime() - Date.now();

/** @returns {number} the server's time when the page was made, or the phone's */
function serverTime() {
  const told = Date.parse(document.body.dataset.now ?? '');
  return Number.isNaN(told) ? Date.now() : told;
}

/** The server's time now, in milliseconds since 1970. */
export const now = () => Date.now() + ahead;

const stampFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });

/** @type {Record<string, (time: number) => string>} */
const words = {
  stamp: (time) => stampFormat.format(time),
  clock: (time) => clockFormat.format(time),
  ago,
  left,
};

/** @param {number} time */
function ago(time) {
  const seconds = Math.floor((now() - time) / 1000);
  if (seconds < 10) return 'just now';
  if (seconds < 60) return `${seconds} seconds ago`;
  if (seconds < 120) return '1 minute ago';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} minutes ago`;
  return stampFormat.format(time);
}

/** @param {number} time */
function left(time) {
  const seconds = Math.max(0, Math.floor((time - now()) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`;
}

/** Brings every time on the page up to date. */
export function tellTimes() {
  for (const time of document.querySelectorAll('time')) {
    const say = words[time.dataset.as ?? ''];
    const at = Date.parse(time.dateTime);
    if (!say || Number.isNaN(at)) continue;
    const text = say(at);
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Resolves as soon as the page is in front of somebody. */
export function seen() {
  return new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState !== 'visible') return;
      document.removeEventListener('visibilitychange', look);
      resolve(undefined);
    };
    document.addEventListener('visibilitychange', look);
    look();
  });
}

/** @param {number} milliseconds */
export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
