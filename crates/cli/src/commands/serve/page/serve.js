// The page's program. It asks this server for /model, /sample and /jobs, and nobody else for anything.
(() => {
'use strict';
const byId = id => document.getElementById(id);
const KEPT = 60;
// Every open page has a turn of its own.
const client = [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(16).padStart(2, '0')).join('');
let model = null, job = null, past = [];

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const counted = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
const option = (value, text) => make('option', { value }, text);

// ---- asking the server

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { 'x-client': client, ...options.headers } });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || `the server answered ${answer.status}`);
  return value;
}

// ---- what is shown

function say(text, wrong = false) {
  const status = byId('status');
  status.textContent = text;
  status.classList.toggle('wrong', wrong);
}
function notes(list) {
  byId('notes').hidden = list.length === 0;
  byId('notes').replaceChildren(...list.map(note => make('li', {}, note)));
}
function busy(on) {
  byId('cancel').disabled = !on;
  byId('draw').disabled = byId('next').disabled = on;
  byId('progress').hidden = !on;
  if (on) byId('progress').removeAttribute('value');
  byId('result').setAttribute('aria-busy', String(on));
}
function title(settings) {
  const named = settings.class_name !== undefined ? settings.class_name : settings.class;
  const guided = settings.guidance !== undefined && settings.guidance !== 1 ? `guidance ${settings.guidance}` : null;
  return [`seed ${settings.seed}`, named === undefined || named === null ? null : `class ${named}`, guided,
    `${settings.sampler}, ${counted(settings.steps, 'step')}`].filter(Boolean).join(' · ');
}
// The class of each picture, where all classes are drawn in turn.
function label(settings, i) {
  if (settings.class !== null || !Number.isInteger(model.classes)) return `${i}`;
  const at = i % model.classes;
  return `${i}: ${model.class_names[at] || `class ${at}`}`;
}
// Room for `num` pictures. Their frames stay while the pictures in them change, so that nothing jumps.
function frames(settings) {
  const [height, width] = settings.image_size;
  const place = byId('pictures');
  place.style.setProperty('--ratio', `${width} / ${height}`);
  place.style.setProperty('--side', settings.num === 1 ? '20rem' : settings.num <= 4 ? '12rem' : '6.3rem');
  const crisp = Math.max(height, width) <= 128 ? 'crisp' : '';
  place.replaceChildren(...Array.from({ length: settings.num }, (_, i) =>
    make('figure', {}, make('div', { class: 'empty' }), make('figcaption', {}, label(settings, i)))));
  place.dataset.crisp = crisp;
}
function show(i, src, text) {
  const figure = byId('pictures').children[i];
  if (!figure) return;
  let image = figure.querySelector('img');
  if (!image) {
    image = make('img', { class: byId('pictures').dataset.crisp });
    figure.firstElementChild.replaceWith(image);
  }
  image.src = src;
  image.alt = text;
}
function showResult(result) {
  const { settings } = result;
  frames(settings);
  result.urls.forEach((url, i) => {
    show(i, url, `Picture ${i} of ${title(settings)}`);
    const name = `sfumato-seed${settings.seed}-${String(i).padStart(2, '0')}.png`;
    byId('pictures').children[i].querySelector('figcaption').append(
      make('a', { href: url, download: name, 'aria-label': `Save picture ${i} as a PNG file` }, 'save'));
  });
  notes(result.notes);
  for (const button of byId('history').children) button.setAttribute('aria-current', String(button.result === result));
}

// ---- the settings

function settings() {
  const number = id => byId(id).value === '' || byId(id).closest('[hidden]') ? undefined : Number(byId(id).value);
  const text = id => byId(id).value === '' || byId(id).closest('[hidden]') ? undefined : byId(id).value;
  const [height, width] = [number('height'), number('width')];
  const karras = text('karras');
  const [low, high] = [number('low'), number('high')];
  return {
    num: number('num'), seed: number('seed'), guidance: number('guidance'), sampler: text('sampler'), steps: number('steps'),
    class: model.classes === 'any' ? number('class-number') : number('class'),
    image_size: height === undefined && width === undefined ? undefined : [height ?? width, width ?? height],
    guidance_interval: low === undefined && high === undefined ? undefined : [low ?? 0, high ?? null],
    spacing: text('spacing'), eta: number('eta'), order: number('order'), karras: karras === undefined ? undefined : karras === 'true',
  };
}
function bring(settings) {
  const put = (id, value) => { byId(id).value = value === undefined || value === null ? '' : String(value); };
  put('num', settings.num);
  put('seed', settings.seed);
  put('class', settings.class);
  put('class-number', settings.class);
  put('guidance', settings.guidance ?? 1);
  put('low', settings.guidance_interval?.[0]);
  put('high', settings.guidance_interval?.[1]);
  put('sampler', settings.sampler);
  fit();
  put('steps', settings.steps);
  put('height', settings.image_size[0]);
  put('width', settings.image_size[1]);
  put('spacing', settings.spacing);
  put('eta', settings.eta);
  put('order', settings.order);
  put('karras', settings.karras);
}
// Shows the options of the chosen sampler.
function fit() {
  const sampler = model.samplers.find(sampler => sampler.name === byId('sampler').value);
  for (const name of ['eta', 'order', 'karras']) byId(`${name}-field`).hidden = !sampler.options.includes(name);
  byId('steps').placeholder = String(sampler.steps);
  byId('about').textContent = `${sampler.about}. ${sampler.fewest_steps} steps or more.`;
}
function setUp() {
  const [channels, height, width] = model.shape || [];
  byId('name').textContent = model.model || 'Sfumato';
  document.title = `${model.model || 'model'} – Sfumato`;
  const size = height ? `${width}×${height} pixels, ` : '';
  const colours = { 1: 'grey', 3: 'RGB', 4: 'RGBA' }[channels] || '';
  byId('facts').textContent =
    `${size}${colours}${colours ? ', ' : ''}${model.parameters.toLocaleString('en').replace(/,/g, '\u202f')} parameters, ${model.backend}, sfumato ${model.version}`;
  byId('num').max = model.limits.num;
  byId('steps').max = model.schedule_steps;
  for (const [id, side] of [['height', height], ['width', width]]) {
    Object.assign(byId(id), { max: model.limits.side, step: model.size_divisor, min: model.size_divisor, placeholder: side || '' });
    byId(id).required = !side;
  }
  if (!height) byId('more').open = true;
  byId('sampler').append(...model.samplers.map(sampler => option(sampler.name, sampler.name)));
  byId('sampler').value = model.sampler;
  byId('spacing').append(option('', `default: ${model.spacing}`), ...model.spacings.map(name => option(name, name)));
  byId('class-field').hidden = !Number.isInteger(model.classes);
  byId('class-number-field').hidden = model.classes !== 'any';
  if (Number.isInteger(model.classes)) {
    const names = Array.from({ length: model.classes }, (_, i) => option(i, model.class_names[i] ? `${i}: ${model.class_names[i]}` : String(i)));
    byId('class').append(option('', 'all in turn'), ...names);
  }
  for (const name of ['guidance', 'low', 'high']) byId(`${name}-field`).hidden = !model.guidance;
  fit();
}

// ---- a job

async function draw() {
  if (job) return;
  // A wrong value cannot be pointed at where it is folded away.
  if (byId('more').querySelector(':invalid')) byId('more').open = true;
  if (!byId('form').reportValidity()) return;
  const mine = job = { id: null, source: null, over: false };
  busy(true);
  notes([]);
  say('asking …');
  try {
    const body = JSON.stringify(settings());
    const taken = await ask('/sample', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    mine.id = taken.id;
    if (mine.over) { ask(`/jobs/${mine.id}`, { method: 'DELETE' }).catch(() => {}); return; }
    notes(taken.notes);
    frames(taken.settings);
    watch(mine, taken);
  } catch (error) {
    end(mine, error.message === 'Failed to fetch' ? 'The server does not answer. Has it ended?' : `Not drawn: ${error.message}`, true);
  }
}
function watch(mine, taken) {
  mine.source = new EventSource(taken.events);
  const on = (name, act) => mine.source.addEventListener(name, event => { if (!mine.over) act(JSON.parse(event.data)); });
  on('waiting', ({ ahead }) => say(ahead === 0 ? 'next in the queue' : `waiting for ${counted(ahead, 'job')}`));
  on('step', ({ done, total, looks }) => {
    byId('progress').max = total;
    byId('progress').value = done;
    say(`step ${done} of ${total}`);
    if (looks) looks.pictures.forEach((png, i) => show(i, `data:image/png;base64,${png}`, `Picture ${i} after step ${looks.step}`));
  });
  on('done', done => finish(mine, done));
  on('failed', ({ error }) => end(mine, `It could not be drawn: ${error}`, true));
  on('cancelled', () => end(mine, 'Cancelled.'));
  // The browser would ask again; the job is gone by then.
  mine.source.onerror = () => { if (!mine.over) end(mine, 'The server has gone.', true); };
}
async function finish(mine, done) {
  mine.source.close();
  try {
    const urls = await Promise.all(done.pictures.map(async path => URL.createObjectURL(await (await fetch(path)).blob())));
    const result = { settings: done.settings, notes: done.notes, urls };
    remember(result);
    showResult(result);
    end(mine, `${counted(urls.length, 'picture')} in ${done.seconds.toFixed(2)} s: ${title(done.settings)}`);
  } catch (error) {
    end(mine, `The pictures could not be fetched: ${error.message}`, true);
  }
}
function end(mine, text, wrong = false) {
  mine.over = true;
  if (mine.source) mine.source.close();
  if (job !== mine) return;
  job = null;
  const focused = document.activeElement === byId('cancel');
  busy(false);
  // A button that is switched off loses the focus.
  if (focused) byId('draw').focus();
  say(text, wrong);
}
function cancel() {
  if (!job) return;
  const { id } = job;
  if (id) ask(`/jobs/${id}`, { method: 'DELETE' }).catch(() => {});
  end(job, 'Cancelled.');
}

// ---- earlier results

function remember(result) {
  past.unshift(result);
  const button = make('button', { type: 'button', onclick: () => recall(result) },
    make('img', { src: result.urls[0], alt: '' }), make('span', {}, `${title(result.settings)} · ${counted(result.urls.length, 'picture')}`));
  button.result = result;
  byId('history').prepend(button);
  while (past.length > KEPT) {
    past.pop().urls.forEach(url => URL.revokeObjectURL(url));
    byId('history').lastElementChild.remove();
  }
  byId('past').hidden = false;
}
function recall(result) {
  if (job) return;
  bring(result.settings);
  showResult(result);
  say(`${counted(result.urls.length, 'picture')}: ${title(result.settings)}`);
}

// ---- colours

const THEMES = ['system', 'light', 'dark'];
let theme = 0;
byId('theme').addEventListener('click', () => {
  theme = (theme + 1) % THEMES.length;
  if (theme) document.documentElement.dataset.theme = THEMES[theme];
  else delete document.documentElement.dataset.theme;
  byId('theme').textContent = `colours: ${THEMES[theme]}`;
});

// ---- the start

byId('form').addEventListener('submit', event => { event.preventDefault(); draw(); });
byId('next').addEventListener('click', () => { byId('seed').value = String(Number(byId('seed').value || 0) + 1); draw(); });
byId('cancel').addEventListener('click', cancel);
byId('sampler').addEventListener('change', () => { byId('steps').value = ''; fit(); });
document.addEventListener('keydown', event => { if (event.key === 'Escape') cancel(); });
ask('/model').then(facts => { model = facts; setUp(); byId('draw').focus(); },
  error => { byId('facts').textContent = ''; say(`The model cannot be read: ${error.message}`, true); });
})();
