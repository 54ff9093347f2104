// The chart of a point's page: a chosen value opens how it was judged and what brought it.

import { lineChart } from '../console/chart.js';

const chart = document.getElementById('chart');
const panel = document.getElementById('value');

function say(text) {
  const note = document.createElement('p');
  note.className = 'alert alert-error';
  note.textContent = text;
  return note;
}

async function show() {
  const response = await fetch(chart.dataset.series, { headers: { Accept: 'application/json' } });
  if (!response.ok) throw new Error(`${response.status}`);
  const options = await response.json();
  lineChart(chart, {
    ...options,
    async select({ time }) {
      const address = `${options.value}&time=${time / 1000}`;
      await window.htmx.ajax('GET', address, { target: panel, swap: 'innerHTML' });
      panel.focus();
    },
  });
}

show().catch(() => chart.replaceChildren(say(gettext('The series could not be loaded. Load the page again.'))));
