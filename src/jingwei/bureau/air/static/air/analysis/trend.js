// Trend with its bounds; the course without the weather.

import { lineChart } from '../../console/chart.js';
import { read } from './draw.js';

const pictures = read('pictures');
for (const name of ['trend', 'weather']) {
  const element = document.getElementById(name);
  if (element && pictures[name]) lineChart(element, pictures[name]);
}
