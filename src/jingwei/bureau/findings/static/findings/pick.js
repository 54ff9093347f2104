// The place of a new finding: a click on the map or the position of this device fills the fields.

import * as maplibre from '../vendor/maplibre-gl/maplibre-gl.mjs';
import { createMap } from '../console/map.js';

const box = document.getElementById('pick');
const note = document.getElementById('pick-note');
const form = box.closest('form');
const { longitude, latitude, datum } = form.elements;
const locate = document.getElementById('locate');
form.elements.enterprise?.setAttribute('list', 'enterprises');

const number = (field) => (field.value.trim() === '' ? NaN : Number(field.value));
const given = () => [number(longitude), number(latitude)];
const valid = ([x, y]) => Math.abs(x) <= 180 && Math.abs(y) <= 90;

const start = valid(given()) ? given() : null;
const { map } = await createMap(box, start ? { place: start, zoom: 12 } : {});
let pin = null;

function show() {
  const place = given();
  // Shifted coordinates are converted by the server: they would lie beside their place here.
  if (!map || !valid(place) || datum.value !== 'wgs84') {
    pin?.remove();
    pin = null;
    return;
  }
  if (!pin) {
    const mark = document.createElement('span');
    mark.className = 'map-pin';
    pin = new maplibre.Marker({ element: mark }).setLngLat(place).addTo(map);
  } else pin.setLngLat(place);
}

function take(x, y, text) {
  longitude.value = x.toFixed(6);
  latitude.value = y.toFixed(6);
  datum.value = 'wgs84';
  for (const field of [longitude, latitude]) field.dispatchEvent(new Event('input', { bubbles: true }));
  note.textContent = text;
}

box.querySelector('.map-pin')?.remove();
show();
for (const field of [longitude, latitude, datum]) field.addEventListener('input', show);
map?.on('click', ({ lngLat }) => take(lngLat.lng, lngLat.lat, gettext('The place is taken from the map.')));

if (!('geolocation' in navigator) || !window.isSecureContext) locate.disabled = true;
locate.addEventListener('click', () => {
  note.textContent = gettext('Looking for the position …');
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      take(coords.longitude, coords.latitude, gettext('The place is where this device is.'));
      map?.flyTo({ center: [coords.longitude, coords.latitude], zoom: 14 });
    },
    () => { note.textContent = gettext('No position was given: click on the map.'); },
    { enableHighAccuracy: true, timeout: 15000, maximumAge: 60000 },
  );
});
