// The page's program: charts, pictures and controls from the JSON in #data. It loads nothing.
(() => {
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const many = data.runs.length > 1;
const COLOURS = 8, DASHES = [[], [7, 4], [2, 3], [12, 4, 2, 4]];
const state = { measure: 'steps', smoothing: 0.6, hiddenRuns: new Set(), view: {} };
const charts = [];

// ---- small helpers

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const byId = id => document.getElementById(id);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dark = () => colour('--page') === '#14171c';
function faded(text, share) {
  if (text.startsWith('#')) return text + Math.round(share * 255).toString(16).padStart(2, '0');
  return text.replace(')', ` / ${share})`);
}
function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace(/\.?0+e/, 'e').replace('e+', 'e');
  return String(Number(value.toPrecision(4)));
}
const whole = value => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en').replace(/,/g, '\u202f') : number(value);
const MEASURES = { steps: 'step', examples: 'examples seen', minutes: 'minutes of training' };

// ---- steps as examples or minutes, by what the run's own lines say

function measured(run, steps) {
  if (state.measure === 'steps') return steps;
  const from = data.runs[run].steps, to = data.runs[run][state.measure];
  let i = 0;
  return steps.map(step => {
    while (i + 1 < from.length && from[i + 1] < step) i++;
    if (from.length < 2 || i + 1 >= from.length) return to[i];
    const share = (step - from[i]) / (from[i + 1] - from[i]);
    return to[i] + share * (to[i + 1] - to[i]);
  });
}
const knows = measure => data.runs.every(run => run[measure].length > 0 && run[measure].every(value => value !== null));

// A moving average whose first values are not drawn towards 0.
function smoothed(values, weight) {
  let sum = 0, all = 0;
  return values.map(value => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    all = weight * all + (1 - weight);
    return sum / all;
  });
}

// ---- charts

// Ticks at 1, 2 and 5 of each decade; where the range is too narrow for three of them, evenly spaced ones.
function logTicks(min, max) {
  const ticks = [];
  for (let decade = Math.floor(Math.log10(min)); decade <= Math.ceil(Math.log10(max)); decade++) {
    for (const part of [1, 2, 5]) {
      const tick = part * 10 ** decade;
      if (tick >= min && tick <= max) ticks.push(Number(tick.toPrecision(3)));
    }
  }
  if (ticks.length > 9) return ticks.filter(tick => /^1(e|0*$|\.0*$)|^0\.0*1$/.test(String(tick)) || /^1e/.test(tick.toExponential()));
  if (ticks.length >= 3) return ticks;
  const rough = (max - min) / 4, size = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].map(part => part * size).find(part => part >= rough);
  const even = [];
  for (let tick = Math.ceil(min / gap) * gap; tick <= max; tick += gap) even.push(Number(tick.toPrecision(6)));
  return even;
}

class Chart {
  constructor(panel, host) {
    Object.assign(this, { panel, log: panel.log, hidden: new Set(), group: panel.x_label || 'run', at: null });
    this.lines = panel.lines.map((line, i) => ({ ...line, i, ...this.look(line, i) }));
    const positive = this.lines.every(line => line.y.concat(line.low || []).every(y => y > 0));
    this.logButton = make('button', {
      type: 'button', 'aria-pressed': String(this.log), title: 'Logarithmic y axis',
      onclick: () => { this.log = !this.log; this.logButton.setAttribute('aria-pressed', String(this.log)); this.draw(); },
    }, 'log');
    this.plotHost = make('div', {
      class: 'plot', tabindex: '0', role: 'group', onkeydown: event => this.key(event),
      'aria-label': `Chart: ${panel.title}. Left and right move the readout, plus and minus zoom, 0 shows everything.`,
    });
    this.legend = make('div', { class: 'legend' });
    this.spoken = make('span', { class: 'unseen', 'aria-live': 'polite' });
    const title = make('div', { class: 'title' }, make('h3', {}, panel.title), ...(positive ? [this.logButton] : []));
    this.box = make('figure', { class: 'chart' }, title, this.plotHost, this.legend, this.spoken);
    host.append(this.box);
    this.makeLegend();
    this.draw();
    new ResizeObserver(() => {
      const width = this.plotHost.clientWidth;
      if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: this.height() });
    }).observe(this.plotHost);
  }

  height() { return window.innerWidth < 600 ? 220 : 260; }

  // Colours tell runs apart, or the lines of a single run; a list of levels is a row of colours.
  look(line, i) {
    const own = this.panel.lines.filter(other => other.run === line.run);
    const place = own.indexOf(line);
    if (many) return { hue: line.run % COLOURS, dash: DASHES[(place + Math.floor(line.run / COLOURS)) % DASHES.length] };
    if (own.length > 4) return { share: place / (own.length - 1), dash: [] };
    return { hue: place % COLOURS, dash: place ? DASHES[1] : [] };
  }

  stroke(line) {
    if (line.share === undefined) return colour(`--c${line.hue}`);
    return `hsl(${Math.round(270 - 250 * line.share)} 65% ${dark() ? 66 : 38}%)`;
  }

  name(line) {
    const parts = [];
    if (many) parts.push(data.runs[line.run].name);
    if (line.label && (!many || this.panel.lines.filter(other => other.run === line.run).length > 1)) parts.push(line.label);
    return parts.join(' · ');
  }

  shown(line) { return !this.hidden.has(line.i) && !state.hiddenRuns.has(line.run); }

  smooth(line) { return line.noisy && state.smoothing > 0 && line.y.length >= 30; }

  // One table a line, with everything that is drawn of it; uPlot joins them.
  tables() {
    const tables = [], series = [{}], bands = [];
    for (const line of this.lines) {
      const x = this.panel.x_label ? line.x : measured(line.run, line.x);
      const stroke = this.stroke(line), show = this.shown(line), smooth = this.smooth(line);
      const add = (values, options) => { table.push(values); series.push({ show, spanGaps: true, points: { show: false }, ...options }); };
      const table = [x];
      if (line.low && line.low.length) {
        add(line.high, { stroke: 'transparent', width: 0 });
        add(line.low, { stroke: 'transparent', width: 0 });
        bands.push({ series: [series.length - 2, series.length - 1], fill: faded(stroke, 0.16) });
      }
      const dots = { show: line.y.length < 30, size: 5, fill: stroke, stroke };
      if (smooth) {
        add(line.y, { stroke: faded(stroke, 0.3), width: 1 });
        add(smoothed(line.y, state.smoothing), { stroke, width: 2, dash: line.dash });
      } else {
        add(line.y, { stroke, width: 2, dash: line.dash, points: dots });
      }
      tables.push(table);
      line.xs = x;
      line.read = smooth ? table[table.length - 1] : line.y;
    }
    return { joined: uPlot.join(tables), series, bands };
  }

  draw() {
    const { joined, series, bands } = this.tables();
    this.lastX = joined[0][joined[0].length - 1];
    this.firstX = joined[0][0];
    if (this.plot) this.plot.destroy();
    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { stroke: colour('--grid'), width: 1 }, font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif' };
    const log = this.log;
    const range = (plot, min, max) => {
      if (min === null || max === null) return log ? [0.1, 1] : [0, 1];
      if (log) return min === max ? [min / 2, max * 2] : [min / 1.1, max * 1.1];
      return min === max ? [min - (Math.abs(min) || 1) / 2, max + (Math.abs(max) || 1) / 2] : uPlot.rangeNum(min, max, 0.06, false);
    };
    this.plot = new uPlot({
      width: this.plotHost.clientWidth || 300,
      height: this.height(),
      series,
      bands,
      legend: { show: false },
      scales: { x: { time: false, range: (plot, min, max) => state.view[this.group] || (min === max ? [min - 1, max + 1] : [min, max]) }, y: { distr: log ? 3 : 1, range } },
      axes: [
        { ...axis, label: this.panel.x_label || MEASURES[state.measure], labelSize: 18, size: 34, space: 60, values: (plot, ticks) => ticks.map(tick => tick >= 1e4 ? `${Number((tick / 1000).toPrecision(4))}k` : number(tick)) },
        { ...axis, size: 58, values: (plot, ticks) => ticks.map(number), ...(log ? { splits: (plot, i, min, max) => logTicks(min, max), filter: (plot, ticks) => ticks } : {}) },
      ],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => zoom(this.group, null) } },
      hooks: {
        setSelect: [plot => {
          const { left, width } = plot.select;
          if (width < 5) return;
          const ends = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')];
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          zoom(this.group, ends);
        }],
        setCursor: [plot => { if (!pointing) point(this.group, plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, 'x') : null); }],
      },
    }, joined, this.plotHost);
    const follow = event => {
      const touch = event.touches[0], box = this.plot.over.getBoundingClientRect();
      this.plot.setCursor({ left: touch.clientX - box.left, top: 1 });
    };
    this.plot.over.addEventListener('touchstart', follow, { passive: true });
    this.plot.over.addEventListener('touchmove', follow, { passive: true });
    this.readout(this.at);
  }

  makeLegend() {
    this.keys = this.lines.map(line => {
      const swatch = make('span', { class: 'swatch', 'aria-hidden': 'true' });
      swatch.innerHTML = `<svg width="22" height="8"><line x1="0" x2="22" y1="4" y2="4" stroke-width="3" stroke-dasharray="${line.dash.join(' ')}"/></svg>`;
      const stroke = swatch.querySelector('line');
      const value = make('b', {}, '–');
      const button = make('button', {
        type: 'button', class: 'key', 'aria-pressed': 'true',
        title: line.band ? `band: ${line.band}` : null,
        'aria-label': this.name(line) ? null : this.panel.title,
        onclick: () => { this.hidden.has(line.i) ? this.hidden.delete(line.i) : this.hidden.add(line.i); this.draw(); },
      }, swatch, ...(this.name(line) ? [make('span', {}, this.name(line))] : []), value);
      return { button, stroke, value };
    });
    this.place = make('span', { class: 'at' });
    this.legend.append(...this.keys.map(key => key.button), this.place);
  }

  // The values at `x`, of each line's nearest point; without one, the newest.
  readout(x) {
    this.at = x;
    const said = [];
    this.lines.forEach((line, i) => {
      const { button, stroke, value } = this.keys[i];
      stroke.setAttribute('stroke', this.stroke(line));
      button.setAttribute('aria-pressed', String(this.shown(line)));
      const at = nearest(line.xs, x === null ? Infinity : x);
      value.textContent = number(line.read[at]);
      if (this.shown(line)) said.push(`${this.name(line) || this.panel.title} ${number(line.read[at])}`);
    });
    const what = this.panel.x_label ? 't' : MEASURES[state.measure];
    const counted = this.panel.x_label || state.measure !== 'minutes';
    this.place.textContent = x !== null ? `at ${what} ${counted ? whole(Math.round(x)) : number(x)}` : this.panel.x_label ? 'last' : 'newest';
    return `${this.place.textContent}: ${said.join(', ')}`;
  }

  key(event) {
    const [min, max] = [this.plot.scales.x.min, this.plot.scales.x.max];
    const here = this.at === null ? (event.key === 'ArrowRight' ? min : max) : this.at;
    const step = (max - min) / (event.shiftKey ? 10 : 60);
    const scale = factor => {
      const width = (max - min) * factor, from = Math.min(Math.max(here - width / 2, this.firstX), Math.max(this.lastX - width, this.firstX));
      zoom(this.group, from <= this.firstX && from + width >= this.lastX ? null : [from, Math.min(from + width, this.lastX)]);
    };
    const actions = {
      ArrowLeft: () => point(this.group, Math.max(min, here - step)), ArrowRight: () => point(this.group, Math.min(max, here + step)),
      Home: () => point(this.group, min), End: () => point(this.group, max),
      '+': () => scale(0.5), '=': () => scale(0.5), '-': () => scale(2), '0': () => zoom(this.group, null), Escape: () => zoom(this.group, null),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
    this.spoken.textContent = this.readout(this.at);
  }
}

function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1; else high = middle;
  }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
}

// The readout of all charts over the same x.
let pointing = false;
function point(group, x) {
  pointing = true;
  for (const chart of charts.filter(chart => chart.group === group)) {
    chart.plot.setCursor(x === null ? { left: -10, top: -10 } : { left: chart.plot.valToPos(x, 'x'), top: 1 });
    chart.readout(x);
  }
  pointing = false;
}

function zoom(group, ends) {
  state.view[group] = ends;
  for (const chart of charts.filter(chart => chart.group === group)) {
    chart.plot.setScale('x', ends ? { min: ends[0], max: ends[1] } : { min: chart.firstX, max: chart.lastX });
  }
}

function drawAll() { charts.forEach(chart => chart.draw()); }

function addCharts(panels, id) {
  const host = byId(id);
  if (host) for (const panel of panels) charts.push(new Chart(panel, host));
}

// ---- controls

function curveControls() {
  const host = byId('controls');
  if (!host) return;
  const options = Object.keys(MEASURES).filter(measure => measure === 'steps' || knows(measure));
  const measure = make('select', { onchange: event => { state.measure = event.target.value; state.view.run = null; charts.forEach(chart => { chart.at = null; }); drawAll(); } },
    ...options.map(name => make('option', { value: name }, MEASURES[name])));
  host.append(make('label', {}, 'Over', measure));
  if (data.curves.some(panel => panel.lines.some(line => line.noisy && line.y.length >= 30))) {
    const said = make('output', {}, String(state.smoothing));
    const slider = make('input', { type: 'range', min: '0', max: '0.99', step: '0.01', value: String(state.smoothing), oninput: event => { state.smoothing = Number(event.target.value); said.textContent = event.target.value; drawAll(); } });
    host.append(make('label', {}, 'Smoothing', slider, said));
  }
  const scale = factor => {
    const chart = charts.find(chart => chart.group === 'run');
    const { min, max } = chart.plot.scales.x, middle = (min + max) / 2, half = (max - min) / 2 * factor;
    const ends = [Math.max(middle - half, chart.firstX), Math.min(middle + half, chart.lastX)];
    zoom('run', ends[0] <= chart.firstX && ends[1] >= chart.lastX ? null : ends);
  };
  host.append(
    make('button', { type: 'button', id: 'zoom-in', onclick: () => scale(0.5) }, 'Zoom in'),
    make('button', { type: 'button', id: 'zoom-out', onclick: () => scale(2) }, 'Zoom out'),
    make('button', { type: 'button', id: 'zoom-reset', onclick: () => zoom('run', null) }, 'Show everything'));
  if (!many) return;
  data.runs.forEach((run, i) => {
    const button = make('button', { type: 'button', class: 'key run', 'aria-pressed': 'true', style: `border-left: .5rem solid var(--c${i % COLOURS})`, onclick: () => {
      state.hiddenRuns.has(i) ? state.hiddenRuns.delete(i) : state.hiddenRuns.add(i);
      button.setAttribute('aria-pressed', String(!state.hiddenRuns.has(i)));
      drawAll();
    } }, run.name);
    host.append(button);
  });
}

function themeControl() {
  const names = ['auto', 'light', 'dark'];
  let now = 'auto';
  try { now = localStorage.getItem('sfumato-theme') || 'auto'; } catch (error) { /* a page of a file may have no storage */ }
  const button = make('button', { type: 'button', id: 'theme', onclick: () => set(names[(names.indexOf(now) + 1) % 3]) });
  function set(name) {
    now = names.includes(name) ? name : 'auto';
    if (now === 'auto') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = now;
    try { localStorage.setItem('sfumato-theme', now); } catch (error) { /* see above */ }
    button.textContent = `Colours: ${now}`;
    drawAll();
  }
  byId('page-controls').append(button);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  set(now);
}

function pictures() {
  const host = byId('picture-grids');
  if (!host) return;
  const steps = [...new Set(data.runs.flatMap(run => run.pictures.map(picture => picture.step)))].sort((a, b) => a - b);
  const grids = data.runs.filter(run => run.pictures.length).map(run => {
    const image = make('img', {}), caption = make('figcaption', { class: 'muted' });
    host.append(make('figure', {}, ...(many ? [make('h3', {}, run.name)] : []), image, caption));
    return { run, image, caption };
  });
  const said = make('output', { class: 'at', 'aria-live': 'polite' });
  const slider = make('input', { type: 'range', id: 'picture-step', min: '0', max: String(steps.length - 1), step: '1', 'aria-label': 'Step of the pictures', oninput: show });
  function show() {
    const step = steps[Number(slider.value)];
    said.textContent = `step ${whole(step)}`;
    slider.setAttribute('aria-valuetext', said.textContent);
    for (const { run, image, caption } of grids) {
      // The newest that was there at this step.
      const picture = run.pictures.filter(picture => picture.step <= step).pop() || run.pictures[0];
      const small = picture.width <= 400;
      image.src = picture.src;
      image.style.maxWidth = `${picture.width * (small ? 2 : 1)}px`;
      image.className = small ? 'crisp' : '';
      image.alt = `Samples of ${run.name} after step ${picture.step}`;
      caption.textContent = `after step ${whole(picture.step)}`;
    }
  }
  const move = by => { slider.value = String(Number(slider.value) + by); show(); };
  let timer = null;
  const play = make('button', { type: 'button', id: 'play', onclick: () => {
    if (timer) { clearInterval(timer); timer = null; play.textContent = 'Play'; return; }
    if (Number(slider.value) >= steps.length - 1) { slider.value = '0'; show(); }
    play.textContent = 'Pause';
    timer = setInterval(() => { move(1); if (Number(slider.value) >= steps.length - 1) play.click(); }, 500);
  } }, 'Play');
  slider.value = String(steps.length - 1);
  show();
  byId('picture-controls').append(
    make('button', { type: 'button', 'aria-label': 'Earlier pictures', onclick: () => move(-1) }, '◀'), slider,
    make('button', { type: 'button', 'aria-label': 'Later pictures', onclick: () => move(1) }, '▶'), play, said);
}

const written = new Date(document.lastModified), two = part => String(part).padStart(2, '0');
if (!Number.isNaN(written.getTime())) byId('written').textContent = `As of ${written.getFullYear()}-${two(written.getMonth() + 1)}-${two(written.getDate())} ${two(written.getHours())}:${two(written.getMinutes())}. A run that goes on renews this page at each checkpoint: reload it.`;
addCharts(data.curves, 'curve-charts');
addCharts(data.bound, 'bound-charts');
addCharts(data.schedule, 'schedule-charts');
curveControls();
themeControl();
pictures();
})();
