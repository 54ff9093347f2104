// The page on the spot: answers, photos, signatures. All of it is kept on the phone first and sent
// when there is a connection; what is shown is what is kept.

import { sha256 } from './digest.js';
import { draw } from './pen.js';
import { Queue } from './queue.js';
import { all, alter, get, put } from './store.js';

const data = JSON.parse(document.getElementById('spot-data').textContent);
const page = document.getElementById('spot');
const owner = `${data.user}/${data.sheet.case}`;
const queue = new Queue(data.user, owner, page.dataset, accepted, () => show());
const items = new Map(data.items.map((item) => [item.code, item]));
const place = (name) => document.getElementById(name);
const STATES = {
  kept: gettext('kept on this phone'),
  sent: gettext('sent, not yet confirmed'),
  confirmed: gettext('confirmed by the server'),
  conflict: gettext('somebody else changed it'),
  refused: gettext('not taken by the server'),
};
const ANSWERS = { yes: gettext('Complies'), no: gettext('Does not comply'), na: gettext('Does not apply') };
const COLOURS = { kept: 'watch', sent: 'watch', confirmed: 'normal', conflict: 'abnormal', refused: 'abnormal' };

/* ── what is kept ── */

async function answer(code, change) {
  const row = await alter('answers', [owner, code], (now) => {
    const next = { owner, item: code, value: '', note: '', base: 0, ...now, ...change };
    next.at = new Date().toISOString();
    next.by = '';
    next.state = now?.state === 'conflict' ? 'conflict' : 'kept';
    return next;
  });
  await unsign();
  await show();
  if (row.state === 'kept') queue.pump();
}

/** An answer that the server would take; a half-typed number, or a note alone, stays on the phone. */
function accepted(row) {
  const item = items.get(row.item);
  if (!item) return true; // of a list that was changed: the server says so
  return item.kind === 'check' ? row.value in ANSWERS : /^-?\d{1,9}(\.\d{1,6})?$/.test(row.value);
}

function problem(row) {
  const item = items.get(row.item);
  if (item.kind === 'check') return row.value === 'no';
  const number = Number(row.value);
  return (item.least !== null && number < item.least) || (item.most !== null && number > item.most);
}

let here = null;
if ('geolocation' in navigator) {
  navigator.geolocation.watchPosition(
    ({ coords, timestamp }) => {
      here = { at: timestamp, text: [coords.longitude, coords.latitude, coords.accuracy].map((v) => v.toFixed(6)).join(',') };
    },
    () => { here = null; },
    { enableHighAccuracy: true, maximumAge: 60_000 },
  );
}

async function capture(code, file) {
  const bytes = await file.arrayBuffer();
  const hash = await sha256(bytes);
  if (hash === null) {
    tell(gettext('This browser cannot reckon hashes here: open the page over HTTPS.'));
    return;
  }
  await put('photos', {
    owner,
    uid: crypto.randomUUID(),
    item: code,
    blob: new Blob([bytes], { type: file.type }),
    sha256: hash,
    taken: new Date().toISOString(),
    position: here && Date.now() - here.at < 120_000 ? here.text : '',
    state: 'kept',
  });
  await unsign();
  await show();
  queue.pump();
}

/* ── the sheet that is signed ── */

async function view() {
  const [answers, own, kept] = await Promise.all([all('answers', owner), all('photos', owner), get('sheets', owner)]);
  const sheet = kept?.sheet ?? data.sheet;
  const mine = new Set(own.map((photo) => photo.uid));
  const others = sheet.photos.filter((photo) => !mine.has(photo.uid)).map((photo) => ({ ...photo, state: 'confirmed' }));
  return { answers, photos: [...own, ...others], kept: kept ?? { owner, sheet, signatures: {} } };
}

const order = (a, b) => (a[0] < b[0] ? -1 : 1);

function digest({ answers, photos }) {
  return sha256(JSON.stringify({
    answers: answers.map((a) => [a.item, a.value, a.note]).sort(order),
    case: data.sheet.case,
    photos: photos.map((p) => [p.uid, p.sha256]).sort(order),
  }));
}

async function unsign() {
  await alter('sheets', owner, (row) => (row && Object.keys(row.signatures).length
    ? { ...row, signatures: {}, finish: null, why: gettext('Something was changed after signing: please sign again.') }
    : null));
}

function missing({ answers, photos }) {
  const pictured = new Set(photos.map((photo) => photo.item));
  const rows = new Map(answers.map((row) => [row.item, row]));
  return data.items.filter(({ code }) => {
    const row = rows.get(code);
    return !row || !accepted(row) || (problem(row) && !row.note && !pictured.has(code));
  });
}

/* ── what is shown ── */

const previews = new Map();
function source(photo) {
  if (!photo.blob) return photo.url;
  if (!previews.has(photo.uid)) previews.set(photo.uid, URL.createObjectURL(photo.blob));
  return previews.get(photo.uid);
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function badge(state, why) {
  return element('span', { className: `badge state-${COLOURS[state]}`, textContent: STATES[state], title: why || '' });
}

function tell(text) {
  place('problem').textContent = text;
  place('problem').hidden = !text;
}

let drawing = Promise.resolve();
function show() {
  drawing = drawing.then(render, render);
  return drawing;
}

async function render() {
  if (queue.finished) {
    page.hidden = true;
    place('finished').hidden = false;
    place('finished-hash').textContent = queue.finished;
    place('finished-link').href = place('finished-link').dataset.href; // there is a record now
    navigator.serviceWorker?.controller?.postMessage({ forget: location.href });
    return;
  }
  const now = await view();
  const counts = { kept: 0, sent: 0, confirmed: 0, conflict: 0, refused: 0 };
  for (const row of [...now.answers, ...now.photos]) counts[row.state] += 1;
  for (const [state, count] of Object.entries(counts)) {
    const out = place(`count-${state}`);
    out.textContent = count;
    if (out.dataset.rare) out.parentElement.hidden = !count;
  }
  const line = place('line');
  line.className = `badge state-${queue.reached ? 'normal' : 'offline'}`;
  line.textContent = queue.reached ? gettext('connected') : gettext('no connection: everything is kept on this phone');
  place('login').hidden = !queue.login;
  tell(now.kept.why || queue.problem);
  for (const article of page.querySelectorAll('[data-item]')) fill(article, now);
  await signing(now);
}

function fill(article, now) {
  const code = article.dataset.item;
  const row = now.answers.find((a) => a.item === code);
  for (const button of article.querySelectorAll('[data-value]')) {
    button.setAttribute('aria-pressed', String(button.dataset.value === row?.value));
  }
  for (const field of article.querySelectorAll('[data-field]')) {
    if (document.activeElement !== field) field.value = row?.[field.dataset.field] ?? '';
  }
  article.classList.toggle('is-problem', Boolean(row) && problem(row));
  const mark = article.querySelector('.mark');
  mark.replaceChildren(...(row ? [badge(row.state, row.why)] : []));
  if (row?.by && row.state === 'confirmed') mark.append(` ${row.by}`);
  const conflict = article.querySelector('.conflict');
  conflict.hidden = row?.state !== 'conflict';
  if (row?.state === 'conflict') {
    const said = ANSWERS[row.theirs.value] ?? row.theirs.value;
    conflict.querySelector('p').textContent = `${row.theirs.by || gettext('You, on another device')}: ${said} ${row.theirs.note}`;
  }
  const photos = now.photos.filter((photo) => photo.item === code);
  article.querySelector('.files').replaceChildren(...photos.map((photo) => element(
    'li', {},
    element('img', { src: source(photo), alt: gettext('Photo'), loading: 'lazy' }),
    badge(photo.state, photo.why),
    element('small', { textContent: `${new Date(photo.taken).toLocaleTimeString()} · ${photo.sha256.slice(0, 8)}` }),
  )));
}

/* ── signatures ── */

const refusing = place('refusing');

function signers() {
  const team = data.team.map((t) => ({ key: t.code, side: 'inspector', code: t.code, name: t.name }));
  const other = refusing.checked
    ? { key: 'witness', side: 'witness', name: place('witness').value.trim() }
    : { key: 'enterprise', side: 'enterprise', name: place('representative').value.trim() };
  return [...team, other];
}

async function signing(now) {
  const open = missing(now);
  place('missing').hidden = !open.length;
  place('missing-list').replaceChildren(...open.map((item) => element(
    'li', {}, element('a', { href: `#item-${item.code}`, textContent: `${item.code} ${item.text}` }),
  )));
  const unsettled = now.answers.some((row) => ['conflict', 'refused'].includes(row.state))
    || now.photos.some((row) => row.state === 'refused');
  place('sign').hidden = Boolean(open.length) || unsettled;
  place('for-refusal').hidden = !refusing.checked;
  place('for-representative').hidden = refusing.checked;
  const hash = await digest(now);
  place('sheet-hash').textContent = hash ?? '';
  const done = now.kept.signatures;
  place('signers').replaceChildren(...signers().map((who) => {
    const signed = done[who.key];
    const button = element('button', {
      type: 'button', className: 'btn',
      textContent: signed ? gettext('Sign again') : gettext('Sign'),
    });
    button.dataset.signer = who.key;
    button.disabled = Boolean(now.kept.finish);
    button.addEventListener('click', () => sign(who, hash));
    const label = element('span', { className: 'signer', textContent: who.name || (who.side === 'witness' ? gettext('Witness') : gettext('Representative of the enterprise')) });
    const picture = signed ? [element('img', { src: `data:image/png;base64,${signed.picture}`, alt: gettext('Signature') })] : [];
    return element('li', {}, label, ...picture, button);
  }));
  const whole = signers().every((who) => done[who.key] && who.name)
    && (!refusing.checked || place('reason').value.trim());
  place('finish').disabled = !whole || Boolean(now.kept.finish);
  place('finishing').hidden = !now.kept.finish;
}

async function sign(who, hash) {
  if (!who.name) {
    tell(gettext('First write the name of who signs.'));
    place(who.side === 'witness' ? 'witness' : 'representative').focus();
    return;
  }
  const drawn = await draw(place('pad'), who.name);
  if (!drawn) return;
  await alter('sheets', owner, (row) => {
    const kept = row ?? { owner, sheet: data.sheet, signatures: {} };
    return { ...kept, why: '', signatures: { ...kept.signatures, [who.key]: { ...drawn, hash } } };
  });
  await show();
}

place('finish').addEventListener('click', async () => {
  const now = await view();
  const hash = await digest(now);
  const people = signers();
  if (people.some((who) => now.kept.signatures[who.key]?.hash !== hash)) {
    await unsign();
    await show();
    return;
  }
  const body = {
    sheet: hash,
    at: new Date().toISOString(),
    refusal: refusing.checked ? { reason: place('reason').value.trim(), witness: place('witness').value.trim() } : null,
    signatures: people.map(({ key, side, code, name }) => {
      const { strokes, picture } = now.kept.signatures[key];
      return { side, code: code ?? '', name, strokes, picture };
    }),
  };
  await alter('sheets', owner, (row) => ({ ...row, finish: { body } }));
  await show();
  queue.pump();
});

for (const name of ['representative', 'witness', 'reason']) place(name).addEventListener('input', () => show());
refusing.addEventListener('change', () => show());

/* ── hands ── */

page.addEventListener('click', async (event) => {
  const article = event.target.closest('[data-item]');
  const value = event.target.closest('[data-value]');
  const choice = event.target.closest('[data-settle]');
  if (article && value) await answer(article.dataset.item, { value: value.dataset.value });
  if (article && choice) {
    await alter('answers', [owner, article.dataset.item], (row) => (choice.dataset.settle === 'mine'
      ? { ...row, base: row.theirs.version, state: 'kept', theirs: null }
      : { ...row, value: row.theirs.value, note: row.theirs.note, by: row.theirs.by, base: row.theirs.version, state: 'confirmed', theirs: null }));
    await show();
    queue.pump();
  }
});

page.addEventListener('change', async (event) => {
  const article = event.target.closest('[data-item]');
  if (!article) return;
  if (event.target.type === 'file') {
    const files = [...event.target.files];
    event.target.value = '';
    for (const file of files) await capture(article.dataset.item, file);
  } else if (event.target.dataset.field) {
    await answer(article.dataset.item, { [event.target.dataset.field]: event.target.value.trim() });
  }
});

/* ── without a connection ── */

async function keep() {
  const worker = await navigator.serviceWorker.register(page.dataset.worker);
  await navigator.serviceWorker.ready;
  const active = worker.active ?? navigator.serviceWorker.controller;
  const parts = performance.getEntriesByType('resource').map((entry) => entry.name)
    .filter((name) => name.startsWith(location.origin) && /\/static\/|\.js/.test(name));
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data: said }) => {
    page.dataset.kept = said.missing ? 'partly' : 'whole';
    place('offline').textContent = said.missing
      ? gettext('This page is not yet kept whole: keep it open while there is no connection.')
      : gettext('This page is kept: it opens again without a connection.');
  };
  active.postMessage({ keep: [location.href, ...new Set(parts)] }, [channel.port2]);
}

// Asked to keep its storage, a browser does not clear it when the phone runs out of space.
navigator.storage?.persist?.();
if (navigator.onLine) await queue.take(data.sheet);
await show();
page.dataset.ready = 'true';
if ('serviceWorker' in navigator && window.isSecureContext) keep().catch(() => {});
else place('offline').textContent = gettext('Without HTTPS this browser cannot keep the page: do not close it while there is no connection. What you write is kept.');
await queue.refresh();
queue.pump();
