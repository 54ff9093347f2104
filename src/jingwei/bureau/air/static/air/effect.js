// What was measured during a response, and what the same weather gives without it.

import { lineChart } from '../console/chart.js';

const pictures = JSON.parse(document.getElementById('pictures').textContent);
for (const box of document.querySelectorAll('[data-picture]')) lineChart(box, pictures[Number(box.dataset.picture)]);
