// The forecast on the map: a slider through the hours, classes at the stations, the city's wind, and
// what the stacks add at the chosen station.

import { createMap } from '../console/map.js';
import { text } from '../console/time.js';
import { arrow } from './arrow.js';

const given = JSON.parse(document.getElementById('hours-data').textContent);
const { words } = given;
const slider = document.getElementById('hour');
const play = document.getElementById('play');
const when = document.getElementById('hour-text');
const box = document.getElementById('place');
const list = document.getElementById('station-list');
const panel = document.getElementById('sources');
const LEVEL = ['#9aa5a1', '#00e400', '#ffff00', '#ff7e00', '#ff0000', '#99004c', '#7e0023'];
let chosen = null;
let map = null;
let timer = null;
const kept = new Map();

const element = (name, className, content) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
};
const hour = () => Number(slider.value) - 1;

function places() {
  const k = hour();
  return {
    type: 'FeatureCollection',
    features: given.stations.map((s) => ({
      type: 'Feature', id: s.pk,
      properties: { pk: s.pk, name: s.name, level: s.level[k], aqi: s.aqi[k], chosen: s.pk === chosen },
      geometry: { type: 'Point', coordinates: s.at },
    })),
  };
}

function arrows() {
  const wind = given.wind && given.wind[hour()];
  if (!wind || wind[0] === null) return { type: 'FeatureCollection', features: [] };
  const [u, v, speed] = wind;
  const turn = (Math.atan2(u, v) * 180) / Math.PI;
  return {
    type: 'FeatureCollection',
    features: given.grid.map((at) => ({
      type: 'Feature', properties: { turn, size: Math.min(0.45 + speed / 8, 1.2) }, geometry: { type: 'Point', coordinates: at },
    })),
  };
}

function buttons() {
  const k = hour();
  for (const button of list.querySelectorAll('button')) {
    const s = given.stations.find((one) => one.pk === Number(button.dataset.pk));
    const badge = button.querySelector('.aqi');
    badge.className = `aqi aqi-${s.level[k]}`;
    badge.textContent = s.aqi[k];
    button.setAttribute('aria-pressed', String(s.pk === chosen));
    button.querySelector('small').textContent = given.names[s.level[k] - 1];
  }
}

function table(data) {
  const k = hour();
  const s = given.stations.find((one) => one.pk === chosen);
  panel.replaceChildren(element('h3', '', `${s.name} · ${text(given.times[k])} · AQI ${s.aqi[k]} ${given.names[s.level[k] - 1]} ${s.leading[k]}`));
  if (s.days.length) panel.append(element('p', '', s.days.join(' · ')));
  const own = panel.children.length;
  const link = element('a', 'btn', words.open);
  link.href = s.url;
  if (data.said) panel.append(element('p', 'note', data.said));
  for (const group of data.pollutants) {
    const rows = group.outlets.map((o) => [o, o.hours[k]]).filter(([, value]) => value >= 0.01).sort((a, b) => b[1] - a[1]);
    if (!rows.length) continue;
    const wrap = element('div', 'table-wrap');
    wrap.tabIndex = 0;
    wrap.setAttribute('role', 'region');
    wrap.setAttribute('aria-label', group.name);
    const made = wrap.appendChild(element('table', 'table'));
    const head = made.createTHead().insertRow();
    for (const [name, number] of [[group.name, false], [words.adds, true]]) {
      const cell = head.appendChild(element('th', number ? 'num' : '', name));
      cell.scope = 'col';
    }
    const body = made.createTBody();
    for (const [o, value] of rows.slice(0, 6)) {
      const row = body.insertRow();
      const cell = row.appendChild(element('th'));
      cell.scope = 'row';
      if (o.url) {
        const a = cell.appendChild(element('a', '', o.name));
        a.href = o.url;
      } else cell.textContent = o.name;
      if (o.known) cell.append(' ', element('small', '', o.known));
      row.appendChild(element('td', 'num', value.toFixed(2)));
    }
    const rest = rows.slice(6).reduce((sum, [, value]) => sum + value, 0) + group.rest[k];
    if (rest >= 0.01) {
      const row = body.insertRow();
      row.appendChild(element('th', '', words.rest)).scope = 'row';
      row.appendChild(element('td', 'num', rest.toFixed(2)));
    }
    panel.append(wrap);
  }
  if (panel.children.length === own + (data.said ? 1 : 0)) panel.append(element('p', 'note', words.nothing));
  panel.append(link);
}

async function choose(pk) {
  chosen = pk;
  draw();
  if (!kept.has(pk)) {
    const answer = await fetch(given.stations.find((s) => s.pk === pk).sources, { headers: { Accept: 'application/json' } });
    if (!answer.ok) {
      panel.replaceChildren(element('p', 'note', words.failed));
      return;
    }
    kept.set(pk, await answer.json());
  }
  if (chosen === pk) table(kept.get(pk));
}

function draw() {
  const k = hour();
  const wind = given.wind && given.wind[k];
  const blows = wind && wind[0] !== null ? `${words.wind} ${wind[2].toFixed(1)} m/s` : words.calm;
  when.textContent = `${text(given.times[k])} (+${k + 1} h) · ${blows}`;
  slider.setAttribute('aria-valuetext', when.textContent);
  buttons();
  if (map) {
    map.getSource('forecast').setData(places());
    map.getSource('wind').setData(arrows());
  }
  if (chosen !== null && kept.has(chosen)) table(kept.get(chosen));
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.setAttribute('aria-pressed', 'false');
  play.textContent = words.play;
}

play.addEventListener('click', () => {
  if (timer) {
    stop();
    return;
  }
  play.setAttribute('aria-pressed', 'true');
  play.textContent = words.pause;
  timer = setInterval(() => {
    slider.value = String((Number(slider.value) % 48) + 1);
    draw();
  }, 600);
});
slider.addEventListener('input', () => {
  if (timer) stop();
  draw();
});
list.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) choose(Number(button.dataset.pk));
});

draw();
({ map } = await createMap(box));
if (map) {
  map.addImage('wind-arrow', arrow(), { pixelRatio: 2 });
  map.addSource('wind', { type: 'geojson', data: arrows() });
  map.addSource('forecast', { type: 'geojson', data: places() });
  map.addLayer({ id: 'winds', type: 'symbol', source: 'wind', layout: { 'icon-image': 'wind-arrow', 'icon-rotate': ['get', 'turn'], 'icon-size': ['get', 'size'], 'icon-allow-overlap': true, 'icon-rotation-alignment': 'map' }, paint: { 'icon-opacity': 0.55 } });
  map.addLayer({
    id: 'classes', type: 'circle', source: 'forecast',
    paint: {
      'circle-radius': 13, 'circle-stroke-width': ['case', ['get', 'chosen'], 4, 1.5], 'circle-stroke-color': ['case', ['get', 'chosen'], '#12566a', '#3c4744'],
      'circle-color': ['match', ['get', 'level'], 1, LEVEL[1], 2, LEVEL[2], 3, LEVEL[3], 4, LEVEL[4], 5, LEVEL[5], 6, LEVEL[6], LEVEL[0]],
    },
  });
  map.addLayer({
    id: 'indices', type: 'symbol', source: 'forecast',
    layout: { 'text-field': ['to-string', ['get', 'aqi']], 'text-size': 11, 'text-font': ['sans-serif'], 'text-allow-overlap': true },
    paint: { 'text-color': ['case', ['>=', ['get', 'level'], 5], '#fff', '#000'] },
  });
  map.addLayer({
    id: 'station-names', type: 'symbol', source: 'forecast',
    layout: { 'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, 1.4], 'text-anchor': 'top', 'text-optional': true, 'text-font': ['sans-serif'] },
    paint: { 'text-color': '#1f2a27', 'text-halo-color': '#fff', 'text-halo-width': 1.2 },
  });
  map.on('click', 'classes', (event) => choose(event.features[0].properties.pk));
  map.on('mouseenter', 'classes', () => { map.getCanvas().style.cursor = 'pointer'; });
  map.on('mouseleave', 'classes', () => { map.getCanvas().style.cursor = ''; });
  const bounds = given.stations.reduce(([low, high], s) => [
    [Math.min(low[0], s.at[0]), Math.min(low[1], s.at[1])], [Math.max(high[0], s.at[0]), Math.max(high[1], s.at[1])],
  ], [[180, 90], [-180, -90]]);
  if (given.stations.length) map.fitBounds(bounds, { padding: 50, maxZoom: 11, animate: false });
  box.dataset.drawn = 'true';
}
