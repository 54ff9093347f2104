// The service worker of the pages for the spot: keeps them so that they open without a connection.
//
// Pages and what they are made of are asked of the network first; where it does not answer in time,
// what was kept is shown. What people write never passes here: it lies in IndexedDB (store.js).

const CACHE = 'inspections-1';
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

self.addEventListener('message', (event) => {
  if (event.data?.keep) {
    event.waitUntil((async () => {
      const cache = await caches.open(CACHE);
      let missing = 0;
      await Promise.all(event.data.keep.map(async (address) => {
        try {
          const answer = await fetch(address);
          if (answer.ok && !answer.redirected) await cache.put(address, answer);
          else missing += 1;
        } catch {
          if (!(await cache.match(address, { ignoreVary: true }))) missing += 1;
        }
      }));
      event.ports[0]?.postMessage({ missing });
    })());
  } else if (event.data?.forget) {
    event.waitUntil(caches.open(CACHE).then((cache) => cache.delete(event.data.forget, { ignoreVary: true })));
  }
});

async function answered(request, page) {
  const cache = await caches.open(CACHE);
  // The page varies by cookie and language; it is kept for whoever opened it last.
  const known = await cache.match(request, { ignoreVary: true });
  const fresh = (async () => {
    const answer = await fetch(request);
    // A page that leads to the login form belongs to nobody any more.
    if (page && answer.redirected) await cache.delete(request, { ignoreVary: true });
    else if (answer.ok && (page || known)) await cache.put(request, answer.clone());
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
