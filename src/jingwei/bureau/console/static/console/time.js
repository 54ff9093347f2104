// Times at the edge: the zone of the system (<html data-time-zone>), whatever the browser's is.

const root = document.documentElement;
export const language = root.lang || 'zh-hans';
export const zone = root.dataset.timeZone || 'Asia/Shanghai';

const parts = new Intl.DateTimeFormat('sv-SE', {
  timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit',
  hour: '2-digit', minute: '2-digit', second: '2-digit',
});
const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });

/** Milliseconds since 1970 of an ISO text, a number or a Date. */
export const millis = (time) => (typeof time === 'number' ? time : new Date(time).getTime());

/** `2026-11-21 14:05` in the zone of the system; "second", "minute" or "day" exact. */
export function text(time, exact = 'minute') {
  const length = { second: 19, minute: 16, day: 10 }[exact];
  return parts.format(new Date(time)).slice(0, length);
}

/** Wall clock time as if it were UTC: for an axis that knows no zones. */
export const wall = (time) => Date.parse(`${parts.format(new Date(time)).replace(' ', 'T')}Z`);

const UNITS = [['day', 86400], ['hour', 3600], ['minute', 60]];

/** "5 minutes ago", "in 2 days". */
export function ago(time, now = Date.now()) {
  const seconds = (millis(time) - now) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return gettext('just now');
}
