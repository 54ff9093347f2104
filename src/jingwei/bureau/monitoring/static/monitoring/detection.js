// The chart of an evidence sheet: reported, expected, normal band, the suspicious stretch shaded.

import { lineChart } from '../console/chart.js';

const data = document.getElementById('detection-series');
if (data) lineChart(document.getElementById('detection-chart'), JSON.parse(data.textContent));
