// Opens a page of `sfumato report` in Chromium and uses it: node check.mjs PAGE [FOLDER FOR SCREENSHOTS]
//
// `cargo xtask report-check` makes the pages, installs playwright-core and calls this.
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check, contrast, end, launched, nameless, open, widths } from './tools.mjs';

const [page_path, screenshots] = process.argv.slice(2);
const browser = await launched();
const opened = options => open(browser, pathToFileURL(resolve(page_path)).href, /^(file|data|blob):/, options);

async function shoot(page, name, options = {}) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), ...options });
}

// What the canvas of a chart shows, as a number that changes with it.
const ink = (page, at = 0) => page.evaluate(at => {
  const canvas = document.querySelectorAll('.chart canvas')[at];
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum = (sum * 31 + data[i]) % 1000000007;
  return sum;
}, at);

// ---- a wide screen
const { page, complaints, requests } = await opened({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
const charts = await page.locator('.chart').count();
check('there are charts', charts >= 3, charts);
check('each chart has drawn something', (await Promise.all([...Array(charts).keys()].map(i => ink(page, i)))).every(sum => sum > 0));
await shoot(page, 'wide', { fullPage: true });

// The readout follows the mouse, in every chart.
const over = page.locator('#curve-charts .u-over').first();
const value = page.locator('#curve-charts .legend b').first();
const newest = await value.textContent();
await over.scrollIntoViewIfNeeded();
const box = await over.boundingBox();
await page.mouse.move(box.x + box.width * 0.1, box.y + box.height / 2);
const early = await value.textContent();
check('the readout shows the value under the mouse', early !== newest && early !== '–', [newest, early]);
const places = await page.locator('#curve-charts .legend .at').allTextContents();
check('all charts are read at the same place', places.every(text => text.startsWith('at ') && text === places[0]), places);

// Zooming by dragging, by buttons and by keys.
const whole = await ink(page);
await page.mouse.down();
await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2, { steps: 4 });
await page.mouse.up();
await page.waitForTimeout(100);
const zoomed = await ink(page);
check('dragging zooms in', zoomed !== whole);
await page.mouse.dblclick(box.x + box.width / 2, box.y + box.height / 2);
await page.mouse.move(2, 2);
await page.waitForTimeout(400);
check('a double click shows everything again', (await ink(page)) === whole);
await page.locator('#zoom-in').click();
await page.waitForTimeout(100);
check('a button zooms in', (await ink(page)) !== whole);
await page.locator('#zoom-reset').click();
await page.waitForTimeout(100);
check('a button shows everything', (await ink(page)) === whole);
const plot = page.locator('#curve-charts .plot').first();
await plot.focus();
await page.keyboard.press('ArrowLeft');
await page.keyboard.press('ArrowLeft');
const spoken = await page.locator('#curve-charts .chart .unseen').first().textContent();
check('arrow keys move the readout and say it', /^at .*: .*\d/.test(spoken), spoken);
await page.keyboard.press('+');
await page.waitForTimeout(100);
check('the key + zooms in', (await ink(page)) !== whole);
await page.keyboard.press('0');
await page.waitForTimeout(100);
check('the key 0 shows everything', (await ink(page)) === whole);

// The legend hides a line, by mouse and by keyboard.
const key = page.locator('#curve-charts .key').last();
const last = (await page.locator('#curve-charts .chart').count()) - 1;
const before = await ink(page, last);
await key.click();
check('the legend hides a line', (await ink(page, last)) !== before && (await key.getAttribute('aria-pressed')) === 'false');
await key.focus();
await page.keyboard.press('Enter');
check('and shows it again, by the keyboard', (await ink(page, last)) === before && (await key.getAttribute('aria-pressed')) === 'true');

// The other measures and the logarithm.
await page.locator('#controls select').selectOption('minutes');
await page.waitForTimeout(100);
check('minutes in place of steps', (await ink(page)) !== whole);
await page.locator('#controls select').selectOption('steps');
const log = page.locator('#curve-charts .chart').first().getByRole('button', { name: 'log' });
await log.click();
check('the y axis changes', (await ink(page)) !== whole);
await log.click();

// The pictures.
const slider = page.locator('#picture-step');
if (await slider.count()) {
  const image = page.locator('#picture-grids img').first();
  check('a picture is shown', await image.evaluate(image => image.complete && image.naturalWidth > 0));
  const src = await image.getAttribute('src');
  await slider.focus();
  await page.keyboard.press('Home');
  check('the slider shows earlier pictures', (await image.getAttribute('src')) !== src);
  await page.keyboard.press('End');
  check('and the newest', (await image.getAttribute('src')) === src);
  check('pictures have a text', /Samples of .* after step \d+/.test(await image.getAttribute('alt')));
}

// Names for what can be used.
const unnamed = await nameless(page);
check('every control has a name', unnamed.length === 0, unnamed);

// Contrast of all texts.
check('texts have a contrast of 4.5 and more in light colours', (await contrast(page)).length === 0, await contrast(page));

// Dark colours, by the button and by the system.
const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await background();
await page.emulateMedia({ colorScheme: 'dark' });
await page.waitForTimeout(200);
check('dark colours follow the system', (await background()) !== light && (await ink(page)) !== whole);
check('texts have a contrast of 4.5 and more in dark colours', (await contrast(page)).length === 0, await contrast(page));
await shoot(page, 'dark', { fullPage: true });
await page.emulateMedia({ colorScheme: 'light' });
await page.locator('#theme').click();
await page.locator('#theme').click();
check('and the button', (await background()) !== light);

check('nothing is said on the console', complaints.length === 0, complaints);
check('nothing is asked of the network', requests.length === 0, requests);

// ---- a phone
const phone = await opened({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' });
const [taken, has] = await widths(phone.page);
check('a narrow page does not scroll sideways', taken <= has && has <= 361, [taken, has]);
const touched = phone.page.locator('#curve-charts .u-over').first();
await touched.scrollIntoViewIfNeeded();
const where = await touched.boundingBox();
await phone.page.touchscreen.tap(where.x + where.width * 0.3, where.y + where.height / 2);
const read = await phone.page.locator('#curve-charts .legend .at').first().textContent();
check('a finger reads a value', read.startsWith('at '), read);
const small = await phone.page.evaluate(() => [...document.querySelectorAll('.controls button, .controls select, .chart .title button')]
  .filter(element => element.getBoundingClientRect().height < 30).map(element => element.textContent));
check('controls are large enough for a finger', small.length === 0, small);
check('nothing is said on the console of a phone', phone.complaints.length === 0, phone.complaints);
await shoot(phone.page, 'phone', { fullPage: true });

await browser.close();
end();
