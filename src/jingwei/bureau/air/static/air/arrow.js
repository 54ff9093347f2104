// The arrow of the wind on maps, pointing north: to be turned.

export function arrow() {
  const canvas = document.createElement('canvas');
  canvas.width = 48;
  canvas.height = 48;
  const c = canvas.getContext('2d');
  c.strokeStyle = '#12566a';
  c.lineWidth = 4;
  c.lineCap = 'round';
  c.lineJoin = 'round';
  c.beginPath();
  c.moveTo(24, 44);
  c.lineTo(24, 6);
  c.moveTo(13, 18);
  c.lineTo(24, 6);
  c.lineTo(35, 18);
  c.stroke();
  return c.getImageData(0, 0, 48, 48);
}
