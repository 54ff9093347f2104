// The service worker of the pages for the spot: keeps them so that they open without a connection.
//
// Pages and what they are made of are asked of the network first; where it does not answer in time,
// what was kept is shown. What people write never passes here: it lies in IndexedDB (store.js).
//
// What pages are made of is everybody's and lies in CACHE. A page is the one's who opened it: it lies
// in the cache `inspections:<user>`, and no other user's page beside it. Who logs out takes it along
// (console.js).

const CACHE = 'inspections-2';
const OWN = 'inspections:';
const PATIENCE = 4000; // milliseconds
const SPOT = /^\/inspections\/\d+\/spot\/$/;

self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith('inspections-') && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

const isPage = (address) => SPOT.test(new URL(address, self.location.origin).pathname);

async function pages() {
  return (await caches.keys()).filter((name) => name.startsWith(OWN));
}

/** What is kept of an address, if anything; of a page, whosever it is: there is one user's alone. */
async function kept(address) {
  if (!isPage(address.url ?? address)) return (await caches.open(CACHE)).match(address, { ignoreVary: true });
  const [name] = await pages();
  return name && (await caches.open(name)).match(address, { ignoreVary: true });
}

async function forget(address) {
  for (const name of await pages()) await (await caches.open(name)).delete(address, { ignoreVary: true });
}

/** Keep an answer; a page with the user whom it names, and nothing of any other. */
async function keep(address, answer) {
  if (!isPage(address.url ?? address)) return (await caches.open(CACHE)).put(address, answer);
  const [, user] = (await answer.clone().text()).match(/<html[^>]* data-user="(\d+)"/) ?? [];
  for (const name of await pages()) if (name !== OWN + user) await caches.delete(name);
  return user && (await caches.open(OWN + user)).put(address, answer);
}

self.addEventListener('message', (event) => {
  if (event.data?.keep) {
    event.waitUntil((async () => {
      let missing = 0;
      await Promise.all(event.data.keep.map(async (address) => {
        try {
          const answer = await fetch(address);
          if (answer.ok && !answer.redirected) await keep(address, answer);
          else missing += 1;
        } catch {
          if (!(await kept(address))) missing += 1;
        }
      }));
      event.ports[0]?.postMessage({ missing });
    })());
  } else if (event.data?.forget) event.waitUntil(forget(event.data.forget));
});

async function answered(request, page) {
  const known = await kept(request);
  const fresh = (async () => {
    const answer = await fetch(request);
    // A page that leads to the login form belongs to nobody any more.
    // (A browser's own navigation does not follow redirects here: the worker sees an opaque one.)
    if (page && (answer.redirected || answer.type === 'opaqueredirect')) await forget(request);
    else if (answer.ok && (page || known)) await keep(request, answer.clone());
    return answer;
  })();
  if (!known) return fresh;
  const late = new Promise((resolve) => { setTimeout(() => resolve(known), PATIENCE); });
  return Promise.race([fresh.catch(() => known), late]);
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  const page = request.mode === 'navigate' && SPOT.test(url.pathname);
  if (request.mode === 'navigate' && !page) return;
  if (!page && !['script', 'style', 'image', 'font', ''].includes(request.destination)) return;
  if (request.destination === '' && !url.pathname.startsWith('/static/')) return;
  event.respondWith(answered(request, page));
});
