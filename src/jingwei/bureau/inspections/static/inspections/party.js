// A party's page: makes the secret, sends its commitment alone, keeps the secret in this browser.

import { hex, sha256 } from './digest.js';

const place = document.getElementById('party');
const { draw, party, state } = place.dataset;
const key = `secret:${draw}:${party}`;
const secret = document.getElementById('secret');

if (state === 'commit' && globalThis.crypto?.subtle) {
  const value = localStorage.getItem(key) || hex(crypto.getRandomValues(new Uint8Array(32)));
  localStorage.setItem(key, value);
  secret.value = value;
  document.getElementById('commitment').value = await sha256(`jingwei-draw/1\n${draw}\n${party}\n${value}`);
  const save = document.getElementById('save');
  save.href = URL.createObjectURL(new Blob([`${draw}\n${party}\n${value}\n`], { type: 'text/plain' }));
  save.hidden = false;
} else if (state === 'reveal') {
  secret.value = localStorage.getItem(key) || '';
} else if (state === 'revealed') {
  localStorage.removeItem(key);
}
