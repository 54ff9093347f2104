// The field on the map: a slider through the hours, wind, outlets; a click asks about a place.

import { createMap } from '../console/map.js';
import { lineChart } from '../console/chart.js';
import { text } from '../console/time.js';
import { arrow } from './arrow.js';

const series = document.getElementById('series');
if (series) lineChart(document.getElementById('chart'), JSON.parse(series.textContent));

const given = JSON.parse(document.getElementById('field-data').textContent);
const { words, grid, breaks } = given;
const box = document.getElementById('place');
// Light to dark, for what is above each border of the legend.
const COLORS = [[254, 235, 190], [253, 208, 130], [252, 174, 85], [241, 126, 52], [214, 79, 35], [163, 42, 28], [105, 16, 30]];
const shade = (k) => COLORS[Math.round(((k - 1) * (COLORS.length - 1)) / Math.max(breaks.length - 1, 1))];

const element = (name, className, content) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
};

function legend() {
  const list = document.getElementById('legend');
  const item = (color, label) => {
    const row = element('li');
    const patch = row.appendChild(document.createElement('canvas'));
    patch.width = 18;
    patch.height = 18;
    const c = patch.getContext('2d');
    c.fillStyle = color;
    c.fillRect(0, 0, 18, 18);
    row.append(label);
    list.append(row);
  };
  item('#ffffff', words.below);
  breaks.forEach((low, k) => {
    const high = breaks[k + 1];
    item(`rgb(${shade(k + 1).join(' ')})`, high === undefined ? `≥ ${low}` : `${low}–${high}`);
  });
  list.append(element('li', '', 'µg/m³'));
}

async function start() {
  const slider = document.getElementById('hour');
  const play = document.getElementById('play');
  const when = document.getElementById('hour-text');
  const panel = document.getElementById('spot');
  const canvas = document.createElement('canvas');
  canvas.width = grid.nx;
  canvas.height = grid.ny;
  const picture = canvas.getContext('2d');
  const kept = new Map();
  let map = null;
  let timer = null;
  let place = null;
  const hour = () => Number(slider.value) - 1;

  const load = (k) => {
    if (!kept.has(k)) {
      const answer = fetch(box.dataset.hours.replace(/0\.bin$/, `${k}.bin`)).then(async (r) => {
        if (!r.ok) throw new Error(r.statusText);
        return new Uint8Array(await r.arrayBuffer());
      });
      answer.catch(() => kept.delete(k));
      kept.set(k, answer);
    }
    return kept.get(k);
  };

  const paint = (cells) => {
    const image = picture.createImageData(grid.nx, grid.ny);
    for (let row = 0; row < grid.ny; row += 1) {
      for (let column = 0; column < grid.nx; column += 1) {
        const k = cells[row * grid.nx + column];
        if (k) image.data.set([...shade(k), 190], 4 * ((grid.ny - 1 - row) * grid.nx + column));
      }
    }
    picture.putImageData(image, 0, 0);
  };

  const arrows = () => ({
    type: 'FeatureCollection',
    features: given.wind.at.map((at, i) => {
      const [u, v] = given.wind.hours[hour()][i];
      return {
        type: 'Feature',
        properties: { turn: (Math.atan2(u, v) * 180) / Math.PI, size: Math.min(0.35 + Math.hypot(u, v) / 12, 1.1) },
        geometry: { type: 'Point', coordinates: at },
      };
    }),
  });

  const table = () => {
    if (!place) return;
    const { told } = place;
    if (told.outside) {
      panel.replaceChildren(element('p', 'note', words.outside));
      return;
    }
    const mean = told.hours.reduce((sum, v) => sum + v, 0) / told.hours.length;
    panel.replaceChildren(element('h3', '', `${words.here}: ${text(given.times[hour()])} ${told.hours[hour()]} µg/m³ · ${words.mean} ${mean.toPrecision(3)} µg/m³`));
    if (!told.outlets.length) {
      panel.append(element('p', 'note', words.few));
      return;
    }
    const wrap = panel.appendChild(element('div', 'table-wrap'));
    wrap.tabIndex = 0;
    wrap.setAttribute('role', 'region');
    wrap.setAttribute('aria-label', words.here);
    const made = wrap.appendChild(element('table', 'table'));
    const head = made.createTHead().insertRow();
    for (const [name, number] of [[words.source, false], [words.adds, true], [words.part, true]]) {
      head.appendChild(element('th', number ? 'num' : '', name)).scope = 'col';
    }
    const body = made.createTBody();
    const line = (name, url, adds) => {
      const row = body.insertRow();
      const cell = row.appendChild(element('th'));
      cell.scope = 'row';
      if (url) cell.appendChild(element('a', '', name)).href = url;
      else cell.textContent = name;
      row.appendChild(element('td', 'num', adds.toPrecision(3)));
      row.appendChild(element('td', 'num', `${Math.round((100 * adds) / (told.total || 1))} %`));
    };
    for (const o of told.outlets) line(o.name, o.url, o.adds);
    if (told.rest > 0) line(words.rest, '', told.rest);
    panel.append(element('p', 'note', words.near.replace('%s', told.near)));
  };

  let turn = 0;
  async function draw() {
    const k = hour();
    turn += 1;
    const mine = turn;
    when.textContent = `${text(given.times[k])} (${k + 1}/${given.times.length})`;
    slider.setAttribute('aria-valuetext', when.textContent);
    if (map) map.getSource('winds').setData(arrows());
    table();
    try {
      const cells = await load(k);
      if (mine !== turn) return;
      paint(cells);
      if (map) {
        const source = map.getSource('field');
        source.play();
        map.once('render', () => source.pause());
        map.triggerRepaint();
      }
      box.dataset.hour = String(k);
    } catch {
      when.textContent = words.failed;
    }
  }

  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.setAttribute('aria-pressed', 'false');
    play.textContent = words.play;
  };
  play.addEventListener('click', () => {
    if (timer) {
      stop();
      return;
    }
    play.setAttribute('aria-pressed', 'true');
    play.textContent = words.pause;
    timer = setInterval(() => {
      slider.value = String((Number(slider.value) % given.times.length) + 1);
      draw();
    }, 700);
  });
  slider.addEventListener('input', () => {
    if (timer) stop();
    draw();
  });
  const ask = async (longitude, latitude) => {
    const query = new URLSearchParams({ longitude: longitude.toFixed(5), latitude: latitude.toFixed(5) });
    const answer = await fetch(`${box.dataset.spot}?${query}`, { headers: { Accept: 'application/json' } });
    if (!answer.ok) return;
    place = { told: await answer.json() };
    if (map) map.getSource('asked').setData({ type: 'Point', coordinates: [longitude, latitude] });
    table();
  };

  legend();
  draw();
  ({ map } = await createMap(box));
  if (!map) return;
  const { west, east, south, north } = grid;
  map.addSource('field', { type: 'canvas', canvas, animate: false, coordinates: [[west, north], [east, north], [east, south], [west, south]] });
  map.addLayer({ id: 'field', type: 'raster', source: 'field', paint: { 'raster-resampling': 'nearest', 'raster-fade-duration': 0 } });
  map.addImage('wind-arrow', arrow(), { pixelRatio: 2 });
  map.addSource('winds', { type: 'geojson', data: arrows() });
  map.addLayer({ id: 'winds', type: 'symbol', source: 'winds', layout: { 'icon-image': 'wind-arrow', 'icon-rotate': ['get', 'turn'], 'icon-size': ['get', 'size'], 'icon-allow-overlap': true, 'icon-rotation-alignment': 'map' }, paint: { 'icon-opacity': 0.6 } });
  const points = (rows) => ({ type: 'FeatureCollection', features: rows.map((r) => ({ type: 'Feature', properties: r, geometry: { type: 'Point', coordinates: r.at } })) });
  map.addSource('run-outlets', { type: 'geojson', data: points(given.outlets) });
  map.addLayer({ id: 'run-outlets', type: 'circle', source: 'run-outlets', paint: { 'circle-radius': ['get', 'size'], 'circle-color': '#5c4a86', 'circle-opacity': 0.35, 'circle-stroke-color': '#5c4a86', 'circle-stroke-width': 1 } });
  map.addSource('run-stations', { type: 'geojson', data: points(given.stations) });
  map.addLayer({ id: 'run-stations', type: 'circle', source: 'run-stations', paint: { 'circle-radius': 4, 'circle-color': '#fff', 'circle-stroke-color': '#12566a', 'circle-stroke-width': 2 } });
  map.addLayer({
    id: 'run-station-names', type: 'symbol', source: 'run-stations', minzoom: 8.5,
    layout: { 'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, 0.9], 'text-anchor': 'top', 'text-optional': true, 'text-font': ['sans-serif'] },
    paint: { 'text-color': '#1f2a27', 'text-halo-color': '#fff', 'text-halo-width': 1.2 },
  });
  map.addSource('asked', { type: 'geojson', data: { type: 'FeatureCollection', features: [] } });
  map.addLayer({ id: 'asked', type: 'circle', source: 'asked', paint: { 'circle-radius': 8, 'circle-opacity': 0, 'circle-color': '#fff', 'circle-stroke-color': '#8c1d18', 'circle-stroke-width': 3 } });
  map.on('click', (event) => ask(event.lngLat.lng, event.lngLat.lat));
  map.fitBounds([[west, south], [east, north]], { padding: 10, animate: false });
  draw();
}

if (box) start();
