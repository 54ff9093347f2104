// The shell: navigation, drafts of forms, relative times, parts that refresh themselves.

import { ago } from './time.js';

const root = document.documentElement;
const all = (selector, from = document) => from.querySelectorAll(selector);

/* Navigation: narrow or wide on a desk, a drawer on a phone. */

for (const button of all('[data-nav-collapse]')) {
  button.addEventListener('click', () => {
    const narrow = root.classList.toggle('nav-collapsed');
    button.setAttribute('aria-expanded', String(!narrow));
    const secure = location.protocol === 'https:' ? '; Secure' : '';
    document.cookie = `nav=${narrow ? 'narrow' : 'wide'}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  });
}

const nav = document.getElementById('nav');
let shade = null;
function drawer(open) {
  root.classList.toggle('nav-open', open);
  for (const button of all('[data-nav-open]')) button.setAttribute('aria-expanded', String(open));
  if (open && !shade) {
    shade = document.body.appendChild(document.createElement('div'));
    shade.className = 'nav-shade';
    shade.addEventListener('click', () => drawer(false));
    nav.querySelector('a').focus();
  } else if (!open && shade) {
    shade.remove();
    shade = null;
    document.querySelector('[data-nav-open]').focus();
  }
}
for (const button of all('[data-nav-open]')) {
  button.addEventListener('click', () => drawer(!root.classList.contains('nav-open')));
}
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && shade) drawer(false);
});

/* Choices that act at once: <select data-submit> sends its form. */

document.addEventListener('change', (event) => {
  if (event.target.matches('[data-submit]')) event.target.form.requestSubmit();
});

/* Printing: <button data-print>. */

document.addEventListener('click', (event) => {
  if (event.target.closest('[data-print]')) window.print();
});

/* Map or list: buttons with data-shows="map|list" inside a group, next to a [data-map] and its list. */

for (const group of all('.map-switch')) {
  group.addEventListener('click', (event) => {
    const button = event.target.closest('[data-shows]');
    if (!button) return;
    const map = group.parentElement.querySelector('[data-map]');
    const list = document.getElementById(map.dataset.list);
    for (const other of all('[data-shows]', group)) other.setAttribute('aria-pressed', String(other === button));
    list.hidden = button.dataset.shows !== 'list';
  });
}

/* A form that came back with errors stands under the address of its act, where nothing answers a
 * reload: it gets the address of the page again on which it was sent, and finds its draft there. */

const drafts = `draft:${root.dataset.user || ''}:`;
const from = sessionStorage.getItem('sent-from');
sessionStorage.removeItem('sent-from');
const { responseStatus } = performance.getEntriesByType('navigation')[0] || {};
if (from && (responseStatus >= 400 || document.querySelector('form .has-error'))) history.replaceState(null, '', from);
document.addEventListener('submit', (event) => {
  if (event.target.method !== 'post') return;
  sessionStorage.setItem('sent-from', location.pathname + location.search);
  if (event.target.matches('[data-logout]')) sessionStorage.setItem('logged-out', drafts);
  else sessionStorage.removeItem('logged-out');
});

/* Forms: nothing typed is lost.
 *
 * Every posted form with a textarea, and every form with data-draft, keeps what is typed in
 * sessionStorage until it has been sent and answered; leaving with unsaved text asks first.
 * Passwords are never kept, and of files only the names: to say which ones to choose again.
 * A draft is its writer's: after an expired session nobody else finds it, and who logs out takes
 * it along. */

// With the query: /cases/open/ is another form for other findings.
const draftKey = (form) => `${drafts}${location.pathname}${location.search}:${form.dataset.draft || form.getAttribute('action') || ''}`;
const kept = (field) => field.name && field.name !== 'csrfmiddlewaretoken'
  && !['password', 'file', 'hidden', 'submit', 'button'].includes(field.type);

const FILES = ' files'; // in a draft, beside the names of its fields

function snapshot(form) {
  const values = {};
  for (const field of form.elements) {
    if (!kept(field)) continue;
    if (field.type === 'checkbox' || field.type === 'radio') {
      if (field.checked) (values[field.name] ||= []).push(field.value);
    } else (values[field.name] ||= []).push(field.value);
  }
  const chosen = [...form.elements].filter((field) => field.type === 'file')
    .flatMap((field) => Array.from(field.files, (file) => file.name));
  if (chosen.length) values[FILES] = chosen;
  return values;
}

/** Put values into a form; `over`: blanks too, where the form has a text of its own. */
function restore(form, values, over) {
  const left = structuredClone(values);
  for (const field of form.elements) {
    if (!kept(field)) continue;
    if (field.type === 'checkbox' || field.type === 'radio') field.checked = (values[field.name] || []).includes(field.value);
    else if (left[field.name]?.length) {
      const value = left[field.name].shift();
      if (over || value.trim() || !field.value.trim()) field.value = value;
    }
  }
}

// A form that was sent and answered has done its work; one that met an expired session, an error
// page or a broken connection has not: its draft stays for the next look.
const sent = sessionStorage.getItem('draft-sent');
sessionStorage.removeItem('draft-sent');
const arrival = performance.getEntriesByType('navigation')[0];
const answered = arrival?.type === 'navigate' && !(arrival.responseStatus >= 400);
if (sent && answered && !document.querySelector('.error-page, .login, form .has-error')) {
  sessionStorage.removeItem(sent);
}

const left = sessionStorage.getItem('logged-out');
sessionStorage.removeItem('logged-out');
if (left && !root.dataset.user) {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(left)) sessionStorage.removeItem(key);
}

/* What a service worker keeps for somebody lies in caches that are called "…:<user>": nothing is left
 * of it when he has logged out, his session has expired, or another one has come. */
if (globalThis.caches && (root.dataset.user || document.querySelector('.login'))) {
  const others = (name) => name.includes(':') && name.split(':').at(-1) !== root.dataset.user;
  caches.keys().then((names) => Promise.all(names.filter(others).map((name) => caches.delete(name))))
    .catch(() => {}); // a browser that keeps nothing
}

const dirty = new Set();
for (const form of all('form[data-draft], form[method="post"]:has(textarea)')) {
  const key = draftKey(form);
  const start = JSON.stringify(snapshot(form));
  const stored = JSON.parse(sessionStorage.getItem(key));
  // What was sent and came back as this very page with errors is already in the fields.
  const draft = form.querySelector('.has-error') ? null : stored;
  if (draft) restore(form, draft, false);
  const texts = [];
  if (draft && JSON.stringify(snapshot(form)) !== start) texts.push(gettext('A draft that was not sent is back.'));
  if (stored?.[FILES]) texts.push(`${gettext('Choose the files again, a browser does not keep them:')} ${stored[FILES].join('、')}`);
  if (draft && !texts.length) sessionStorage.removeItem(key);
  if (texts.length) {
    const note = document.createElement('p');
    note.className = 'alert draft-note no-print';
    note.setAttribute('role', 'status');
    note.textContent = `${texts.join(' ')} `;
    form.prepend(note);
    for (let at = form.closest('details'); at; at = at.parentElement.closest('details')) at.open = true;
    if (draft) {
      dirty.add(form);
      const drop = note.appendChild(document.createElement('button'));
      drop.type = 'button';
      drop.className = 'btn btn-small';
      drop.textContent = gettext('Discard the draft');
      drop.addEventListener('click', () => {
        restore(form, JSON.parse(start), true);
        sessionStorage.removeItem(key);
        dirty.delete(form);
        note.remove();
      });
    }
  }
  form.addEventListener('input', () => {
    const now = JSON.stringify(snapshot(form));
    if (now === start) {
      sessionStorage.removeItem(key);
      dirty.delete(form);
    } else {
      sessionStorage.setItem(key, now);
      dirty.add(form);
    }
  });
  form.addEventListener('submit', () => {
    dirty.delete(form);
    sessionStorage.setItem('draft-sent', key);
  });
}
window.addEventListener('beforeunload', (event) => {
  if (dirty.size) event.preventDefault();
});
/* <time data-relative datetime="…"> shows "5 min. ago"; the exact time stays in its title. */

function times(from = document) {
  for (const time of all('time[data-relative]', from)) {
    if (!time.title) time.title = time.textContent;
    time.textContent = ago(time.dateTime);
  }
}
times();
setInterval(times, 30000);

/* [data-poll] with hx-trigger="poll" refreshes itself while somebody can see it. */

const POLL = 15000;
const poll = () => {
  if (!document.hidden) for (const part of all('[data-poll]')) htmx.trigger(part, 'poll');
};
if (document.querySelector('[data-poll]')) {
  setInterval(poll, POLL);
  document.addEventListener('visibilitychange', poll);
}
document.addEventListener('htmx:beforeSwap', (event) => {
  // A session that has ended answers with the login page: show it as a page.
  if (event.detail.xhr.responseURL.includes('/accounts/login/')) {
    event.preventDefault();
    location.reload();
  }
});
document.addEventListener('htmx:afterSwap', (event) => times(event.target));
