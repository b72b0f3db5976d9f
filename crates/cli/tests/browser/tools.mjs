// What the checks of pages share: the browser, and what holds for every page.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';

const { chromium } = createRequire(join(process.cwd(), 'here.js'))('playwright-core');

const failures = [];
export function check(what, holds, found) {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${holds || found === undefined ? '' : `: ${JSON.stringify(found)}`}`);
  if (!holds) failures.push(what);
}

// Ends the program: 1 if something did not hold.
export function end() {
  console.log(failures.length ? `${failures.length} failed` : 'all of it works');
  process.exit(failures.length ? 1 : 0);
}

// Chromium; where there is none, the program says so and ends.
export async function launched() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];
  const places = process.env.PATH.split(delimiter).flatMap(folder => names.map(name => join(folder, name)));
  const executablePath = process.env.SFUMATO_BROWSER || places.find(existsSync);
  if (!executablePath) {
    console.log('skipped: there is no Chromium; install one, or name it in SFUMATO_BROWSER');
    process.exit(0);
  }
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}

// Opens a page, and keeps what it complains of and which addresses outside of `own` it asks for.
export async function open(browser, address, own, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [], requests = [];
  // What this program does to canvases is no fault of the page.
  const ours = text => text.includes('willReadFrequently');
  page.on('console', message => { if (['error', 'warning'].includes(message.type()) && !ours(message.text())) complaints.push(message.text()); });
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('request', request => { if (!own.test(request.url())) requests.push(request.url()); });
  page.on('dialog', dialog => { complaints.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(address);
  await page.waitForTimeout(300);
  return { page, complaints, requests };
}

// The controls that have no name.
export const nameless = page => page.evaluate(() => [...document.querySelectorAll('button, select, input')]
  .filter(element => !(element.textContent.trim() || element.getAttribute('aria-label') || element.closest('label'))).map(element => element.outerHTML));

// The texts with too little contrast against the background that they stand on.
export const contrast = page => page.evaluate(() => {
  const parse = text => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
  const light = rgb => { const [r, g, b] = rgb.map(x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = element => { for (let at = element; at; at = at.parentElement) { const { rgb, a } = parse(getComputedStyle(at).backgroundColor); if (a > 0.9) return rgb; } return [255, 255, 255]; };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) || !element.checkVisibility()) continue;
    if (['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION'].includes(element.tagName)) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color).rgb), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([element.tagName, element.textContent.slice(0, 30), ratio]);
  }
  return poor;
});

// The width that a page takes, and the one that it has.
export const widths = page => page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
