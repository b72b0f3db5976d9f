// Starts `sfumato serve`, opens its page in Chromium and uses it: node serve.mjs PROGRAM MODEL [FOLDER FOR SCREENSHOTS]
//
// `cargo xtask serve-check` makes the model, installs playwright-core and calls this.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { check, contrast, end, launched, nameless, open, widths } from './tools.mjs';

const [program, model, screenshots] = process.argv.slice(2);
const browser = await launched();
const server = spawn(program, ['serve', '--model', model, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise(resolve => server.on('exit', resolve));
process.on('exit', () => server.kill('SIGKILL'));
const address = await new Promise((resolve, reject) => {
  createInterface({ input: server.stdout }).once('line', resolve);
  ended.then(code => reject(new Error(`the server ended with ${code}`)));
});
const own = new RegExp(`^(${address}|data:|blob:)`);
const opened = options => open(browser, address, own, options);
const shoot = async (page, name) => { if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true }); };
const facts = await (await fetch(`${address}model`)).json();

// ---- a wide screen
const { page, complaints, requests } = await opened({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
const status = () => page.locator('#status').textContent();
const until = (text, on = page) => on.waitForFunction(text => document.getElementById('status').textContent.includes(text), text, { timeout: 120000 });
const sources = () => page.locator('#pictures img').evaluateAll(images => images.map(image => image.src));
// The pixels of a picture, as a number that changes with them.
const seen = at => page.evaluate(at => {
  const image = document.querySelectorAll('#pictures img')[at];
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d', { willReadFrequently: true });
  canvas.drawImage(image, 0, 0);
  let sum = 0;
  for (const value of canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data) sum = (sum * 31 + value) % 1000000007;
  return sum;
}, at);
const fill = async values => { for (const [id, value] of Object.entries(values)) await page.locator(`#${id}`).fill(String(value)); };

const samplers = await page.locator('#sampler option').allTextContents();
check('all samplers are offered', samplers.join() === facts.samplers.map(sampler => sampler.name).join(), samplers);
check('all classes are offered by name', (await page.locator('#class option').count()) === facts.classes + 1 &&
  (await page.locator('#class').textContent()).includes(facts.class_names[3]));
check('the model is described', /28×28 pixels, grey, .* parameters/.test(await page.locator('#facts').textContent()));

// Drawing, by the keyboard alone; the pictures emerge.
await fill({ num: 4, steps: 150 });
await page.evaluate(() => {
  window.emerged = new Set();
  new MutationObserver(() => document.querySelectorAll('#pictures img').forEach(image => window.emerged.add(image.src)))
    .observe(document.getElementById('pictures'), { subtree: true, attributes: true, childList: true });
});
await page.locator('#seed').focus();
await page.keyboard.press('Enter');
await until('step ');
check('the form waits while a job is drawn', await page.locator('#draw').isDisabled() && await page.locator('#cancel').isEnabled());
check('progress is shown', await page.locator('#progress').isVisible());
await until('4 pictures in ');
const emerged = await page.evaluate(() => [...window.emerged].filter(src => src.startsWith('data:')).length);
check('pictures emerge step by step', emerged >= 8, emerged);
check('four pictures are there', (await sources()).length === 4 && (await page.locator('#pictures img').first().evaluate(image => image.naturalWidth)) === 28);
check('pictures have a text', /Picture 0 of seed 0/.test(await page.locator('#pictures img').first().getAttribute('alt')));
check('all classes are drawn in turn', (await page.locator('#pictures figcaption').nth(2).textContent()).includes(facts.class_names[2]));
const first = await seen(0);

// A file with its settings in it.
const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Save picture 1 ' }).click()]);
const file = readFileSync(await download.path());
const says = (file, ...parts) => file.subarray(1, 4).toString() === 'PNG' && parts.every(part => file.toString('latin1').includes(part));
check('a picture is saved with its settings', says(file, '"seed":0,', '"steps":150,', '"index":1,', '"weights_sha256":'));
check('under a name that says what it is', download.suggestedFilename() === 'sfumato-seed0-01.png', download.suggestedFilename());

// Another seed, then the first result again.
await page.locator('#steps').fill('20');
await page.locator('#next').click();
await until('seed 1 ');
check('the next seed gives other pictures', (await page.locator('#seed').inputValue()) === '1' && (await seen(0)) !== first);
await page.locator('#history button').last().click();
check('an earlier result comes back with its settings', (await seen(0)) === first && (await page.locator('#seed').inputValue()) === '0' &&
  (await page.locator('#steps').inputValue()) === '150', await status());
await page.locator('#draw').click();
await until('4 pictures in ');
check('the same settings give the same pictures', (await seen(0)) === first);

// Class, guidance, and the options of a sampler.
await page.locator('#class').selectOption('5');
await page.locator('#sampler').selectOption('ddim');
check('a sampler has its own options', await page.locator('#eta-field').evaluate(field => !field.hidden) && await page.locator('#order-field').evaluate(field => field.hidden));
await page.locator('#more summary').click();
await fill({ guidance: 2.5, low: 0.3, high: 3, steps: 20, eta: 0.5, height: 32, width: 40, num: 9 });
await page.locator('#draw').click();
await until(`class ${facts.class_names[5]} · guidance 2.5 · ddim, 20 steps`);
const [guided] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Save picture 8 ' }).click()]);
check('guidance is limited to noise levels', says(readFileSync(await guided.path()), '"guidance_interval":"0.3,3"', '"eta":0.5'));
check('the size is the one that was asked for', (await page.locator('#pictures img').first().evaluate(image => [image.naturalWidth, image.naturalHeight])).join() === '40,32');
check('every control has a name', (await nameless(page)).length === 0, await nameless(page));
check('texts have a contrast of 4.5 and more in light colours', (await contrast(page)).length === 0, await contrast(page));
await shoot(page, 'wide');

// Wrong values.
await fill({ num: 999 });
await page.locator('#draw').click();
check('a number out of range is not sent', !(await page.locator('#num').evaluate(input => input.checkValidity())) && await page.locator('#cancel').isDisabled());
await fill({ num: 2, height: 32, width: 32 });
await page.evaluate(() => { document.getElementById('steps').max = ''; });
await fill({ steps: 5000 });
await page.locator('#draw').click();
await until('Not drawn: steps must be a whole number from 1 to 1000');
check('what the server refuses is said', true);

// Cancel, by button and by key. A job that stays would hold up the next one.
for (const how of ['button', 'key']) {
  await fill({ num: 16, steps: 1000, height: 112, width: 112 });
  await page.locator('#draw').click();
  await until('step ');
  if (how === 'button') await page.locator('#cancel').click();
  else await page.keyboard.press('Escape');
  check(`a ${how} cancels`, (await status()) === 'Cancelled.' && await page.locator('#draw').isEnabled(), await status());
}
// A page that is closed: the job of this one waits until then.
const other = await opened({ colorScheme: 'light' });
await other.page.locator('#num').fill('16');
await other.page.locator('#steps').fill('1000');
await other.page.locator('#more summary').click();
await other.page.locator('#height').fill('112');
await other.page.locator('#draw').click();
await until('step ', other.page);
await fill({ num: 1, steps: 5, height: 28, width: 28 });
await page.locator('#draw').click();
await until('waiting for 1 job');
await other.page.close();
await until('1 picture in ');
check('a page that is closed ends its job', true);

// Dark colours, by the system and by the button.
const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await background();
await page.emulateMedia({ colorScheme: 'dark' });
check('dark colours follow the system', (await background()) !== light);
check('texts have a contrast of 4.5 and more in dark colours', (await contrast(page)).length === 0, await contrast(page));
await shoot(page, 'dark');
await page.emulateMedia({ colorScheme: 'light' });
await page.locator('#theme').click();
await page.locator('#theme').click();
check('and the button', (await background()) !== light);
await page.locator('#theme').click();
// The refusal that was asked for stands there as well.
const unexpected = complaints.filter(text => !text.includes('400 (Bad Request)'));
check('nothing else is said on the console', unexpected.length === 0, unexpected);
check('nothing is asked of anybody else', requests.length === 0, requests);

// ---- a phone
const phone = await opened({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' });
await phone.page.locator('#num').fill('4');
await phone.page.locator('#steps').fill('20');
await phone.page.locator('#draw').tap();
await until('4 pictures in ', phone.page);
const [taken, has] = await widths(phone.page);
check('a narrow page does not scroll sideways', taken <= has && has <= 361, [taken, has]);
const small = await phone.page.evaluate(() => [...document.querySelectorAll('button, select, input, summary, #pictures a')]
  .filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 30).map(element => element.outerHTML));
check('controls are large enough for a finger', small.length === 0, small);
check('nothing is said on the console of a phone', phone.complaints.length === 0, phone.complaints);
await shoot(phone.page, 'phone');
await phone.page.close();

// ---- the end of the server, in the middle of a job
await fill({ num: 16, steps: 1000, height: 112, width: 112 });
await page.locator('#draw').click();
await until('step ');
server.kill('SIGINT');
check('Ctrl-C ends the server in good order', (await ended) === 0);
await page.waitForFunction(() => /Cancelled|has gone/.test(document.getElementById('status').textContent), null, { timeout: 30000 });
await page.locator('#draw').click();
await until('The server does not answer');
check('the page says that the server has ended', true);

await browser.close();
end();
