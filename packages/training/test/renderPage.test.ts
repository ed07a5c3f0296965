import { renderPage, type Page } from '@evenkeel/training';
import { describe, expect, it } from 'vitest';
import { checkNesting, pathsOf } from './pages.ts';

const full: Page = {
  title: 'A sweep', status: '4 runs.', tiles: [{ name: 'Best', value: '1.5', note: 'nats' }, { name: 'Runs', value: '4' }], footer: 'Made here.',
  sections: [
    { heading: 'Final loss', id: 'loss', badge: { text: 'holds', tone: 'good' }, text: ['First.', 'Second.'], charts: [{ title: 'Final loss', x: { label: 'rate', scale: 'log' }, y: { label: 'loss' }, series: [{ name: 'a', points: [[0.1, 1], [1, 2]] }] }], note: 'One seed.' },
    { heading: 'Inside', charts: [1, 2].map((i) => ({ title: `Chart ${i}`, x: { label: 'x' }, y: { label: 'y' }, series: [{ name: 'a', points: [[0, 1], [1, i]] as const }] })) },
    { heading: 'Runs', table: { columns: ['technique', 'loss', 'holds'], rows: [[{ text: 'plain', href: '#loss' }, 1.23456, { text: 'no', tone: 'bad' }], ['qk-norm', NaN, { parts: ['yes', { text: 'x & y', tone: 'bad' }] }]] }, list: ['plain', { text: 'bad', tone: 'bad' }], preformatted: 'a\n  b' },
  ],
};

describe('renderPage(page)', () => {
  it('is one well-nested page that asks nothing of a network and runs no script', () => {
    const html = renderPage(full);
    checkNesting(html);
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|https?:|\son\w+=/);
    expect(html).toContain('prefers-color-scheme: dark');
  });

  it('shows tiles, badges, paragraphs, lists, tables, links, notes and text as it is', () => {
    const html = renderPage(full);
    for (const part of [
      '<title>A sweep</title>', '<h1>A sweep</h1>', '<p class="status">4 runs.</p>', '<dt>Best</dt><dd>1.5<small>nats</small></dd>', '<dt>Runs</dt><dd>4</dd>',
      '<section id="loss">', '<h2>Final loss</h2><span class="badge good">holds</span>', '<p>First.</p>\n<p>Second.</p>', '<p class="note">One seed.</p>',
      '<th scope="col">technique</th>', '<th scope="row"><a href="#loss">plain</a></th><td class="number">1.235</td><td class="bad">no</td>', '<td class="number">NaN</td><td>yes <span class="bad">x &amp; y</span></td>',
      '<li class="plain">plain</li><li class="bad">bad</li>', '<pre>a\n  b</pre>', '<footer>Made here.</footer>',
    ]) expect(html).toContain(part);
  });

  it('draws one chart over the whole width, under its heading alone, and several two by two with their titles', () => {
    const html = renderPage(full);
    expect(pathsOf(html)).toHaveLength(3);
    expect(html.match(/<figure class="chart full">/g)).toHaveLength(1);
    expect(html.match(/<figure class="chart half">/g)).toHaveLength(2);
    expect([...html.matchAll(/<figcaption>([^<]*)</g)].map(([, title]) => title)).toEqual(['Chart 1', 'Chart 2']);
  });

  it('leaves out what is not given', () => {
    const html = renderPage({ title: 'Bare', sections: [{ heading: 'Nothing' }] });
    checkNesting(html);
    expect(html).toContain('<body>\n<main>\n<h1>Bare</h1>\n<section>\n<header><h2>Nothing</h2></header>\n</section>\n</main>\n</body>');
  });

  it('keeps every text a text', () => {
    const evil = '</pre><script>alert("1")</script>';
    const html = renderPage({
      title: evil, status: evil, footer: evil, tiles: [{ name: evil, value: evil, note: evil }],
      sections: [{ heading: evil, id: '" onload="x', badge: { text: evil, tone: 'bad' }, text: evil, list: [evil], table: { columns: [evil], rows: [[evil, { text: evil, href: '"><script>' }]] }, preformatted: evil, note: evil }],
    });
    expect(html).not.toContain('<script');
    expect(html).not.toContain('" onload="');
    checkNesting(html);
  });
});
