// What an inspector wrote, in the browser's own database until the server has confirmed it.
//
// answers  [owner, item] → { owner, item, value, note, base, at, state, theirs? }
// photos   uid           → { owner, uid, item, blob, sha256, taken, position, state, url? }
// sheets   owner         → { owner, sheet, signatures, finish? }
//
// `owner` is user and case, so that two people on one phone do not mix. `state` is "kept" (on this
// phone alone), "sent" (on its way, not yet answered), "confirmed" (by the server), "conflict"
// (somebody else changed it, see `theirs`) or "refused" (with `why`).

const NAME = 'jingwei-inspections';

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let opened = null;
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore('answers', { keyPath: ['owner', 'item'] }).createIndex('owner', 'owner');
      db.createObjectStore('photos', { keyPath: 'uid' }).createIndex('owner', 'owner');
      db.createObjectStore('sheets', { keyPath: 'owner' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function use(store, mode, act) {
  const db = await database();
  const transaction = db.transaction(store, mode, { durability: 'strict' });
  const finished = new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  const result = await act(transaction.objectStore(store));
  await finished;
  return result;
}

/** Written when this resolves: flushed to the phone's disk, as far as the browser can say. */
export const put = (store, row) => use(store, 'readwrite', (s) => done(s.put(row)));
export const get = (store, key) => use(store, 'readonly', (s) => done(s.get(key)));
export const all = (store, owner) => use(store, 'readonly', (s) => done(s.index('owner').getAll(owner)));

/** Change one row in a transaction of its own: `change(row)` returns the new row, or nothing. */
export const alter = (store, key, change) => use(store, 'readwrite', async (s) => {
  const row = change(await done(s.get(key)));
  if (row) await done(s.put(row));
  return row;
});

/** Forget everything of an owner: the server has all of it. */
export async function forget(owner) {
  for (const store of ['answers', 'photos']) {
    const rows = await all(store, owner);
    await use(store, 'readwrite', (s) => Promise.all(
      rows.map((row) => done(s.delete(store === 'photos' ? row.uid : [row.owner, row.item]))),
    ));
  }
  await use('sheets', 'readwrite', (s) => done(s.delete(owner)));
}
