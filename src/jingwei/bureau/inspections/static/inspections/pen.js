// A signature drawn with finger, pen or mouse: strokes and their picture.

/** Resolves with { strokes, picture } (PNG in base64), or null where nothing was drawn. */
export function draw(dialog, title) {
  const canvas = dialog.querySelector('canvas');
  const context = canvas.getContext('2d');
  const strokes = [];
  let begin = 0;
  let stroke = null;
  dialog.querySelector('h2').textContent = title;

  function clear() {
    strokes.length = 0;
    const scale = Math.min(2, devicePixelRatio || 1);
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    context.scale(scale, scale);
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    context.lineWidth = 2.5;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.strokeStyle = '#111';
  }

  function point(event) {
    begin ||= event.timeStamp;
    return [event.offsetX, event.offsetY, event.timeStamp - begin].map(Math.round);
  }

  function down(event) {
    canvas.setPointerCapture(event.pointerId);
    stroke = [point(event)];
    strokes.push(stroke);
    context.beginPath();
    context.arc(...stroke[0].slice(0, 2), 1.2, 0, 7);
    context.fillStyle = '#111';
    context.fill();
    event.preventDefault();
  }

  function move(event) {
    if (!stroke) return;
    const [x, y] = stroke.at(-1);
    const next = point(event);
    stroke.push(next);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(next[0], next[1]);
    context.stroke();
  }

  const up = () => { stroke = null; };
  const handlers = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up };

  return new Promise((resolve) => {
    const wipe = () => clear();
    dialog.querySelector('[data-clear]').addEventListener('click', wipe);
    for (const [name, act] of Object.entries(handlers)) canvas.addEventListener(name, act);
    dialog.showModal();
    clear();
    dialog.addEventListener('close', () => {
      dialog.querySelector('[data-clear]').removeEventListener('click', wipe);
      for (const [name, act] of Object.entries(handlers)) canvas.removeEventListener(name, act);
      const kept = dialog.returnValue === 'done' && strokes.length;
      resolve(kept ? { strokes, picture: canvas.toDataURL('image/png').split(',')[1] } : null);
    }, { once: true });
  });
}
