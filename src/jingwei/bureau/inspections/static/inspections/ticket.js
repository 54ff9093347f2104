// Recomputes seed and ticket in the reader's own browser and says whether they are right.

import { sha256 } from './digest.js';

for (const out of document.querySelectorAll('output[data-ticket]')) {
  const { draw, key, seed, code, ticket } = out.dataset;
  const own = await sha256(key);
  if (own === null) continue;
  const right = own === seed && (await sha256(`${draw}\n${own}\nunit\n${code}`)) === ticket;
  out.className = right ? 'badge state-normal' : 'badge state-abnormal';
  out.textContent = right
    ? gettext('Recomputed in your browser: right')
    : gettext('Recomputed in your browser: NOT right');
}
