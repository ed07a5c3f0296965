import { memoryStore, readMetrics, renderPage, renderReport, train } from '@evenkeel/training';
import { dispose } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { makeParams, tinyRun } from './fixtures/tinyRun.ts';
import { checkNesting } from './pages.ts';

const matrix = { classes: ['cat', 'dog & co'], counts: [[3, 1], [0, 0]] };

describe('renderPage with a matrix and pictures', () => {
  it('shades each cell by its share of the row, and says the share that is right', () => {
    const html = renderPage({ title: 'A', sections: [{ heading: 'Confusion', matrix }] });
    checkNesting(html);
    expect(html).toContain('<td class="right strong" style="--share:0.750" title="cat predicted as cat: 3 of 4">3</td>');
    expect(html).toContain('<td class="wrong" style="--share:0.250" title="cat predicted as dog &amp; co: 1 of 4">1</td><td class="recall">75.0 %</td>');
    expect(html).toContain('<td class="right" style="--share:0.000" title="dog &amp; co predicted as dog &amp; co: 0 of 0"></td><td class="recall">–</td>');
  });

  it('leaves the numbers out where there are many classes', () => {
    const classes = Array.from({ length: 21 }, (_, i) => `c${i}`);
    const html = renderPage({ title: 'A', sections: [{ heading: 'Confusion', matrix: { classes, counts: classes.map((_, i) => classes.map((__, j) => Number(i === j))) } }] });
    expect(html).toContain('<table class="matrix dense">');
    expect(html).toContain('title="c1 predicted as c1: 1 of 1"></td>');
  });

  it('shows pictures with their captions, escaped', () => {
    const html = renderPage({ title: 'A', sections: [{ heading: 'Predictions', pictures: [{ source: 'data:image/png;base64,AA==', caption: 'cat < dog', tone: 'bad' }] }] });
    expect(html).toContain('<figure class="bad"><img src="data:image/png;base64,AA==" alt=""><figcaption>cat &lt; dog</figcaption></figure>');
  });
});

describe('train({ evaluate }) with more than a loss', () => {
  it('writes the other measures beside it, and the report draws them and shows tiles and cards of its own', async () => {
    const params = makeParams();
    const store = memoryStore();
    const heard: unknown[] = [];
    await train(tinyRun(params, { store, evaluate: async () => ({ loss: 0.5, values: { accuracy: 0.75 } }), callbacks: { onEval: (each) => void heard.push(each.values) } }));
    const metrics = await readMetrics(store);
    const evals = metrics.filter(({ kind }) => kind === 'eval');
    expect(evals.length).toBeGreaterThan(0);
    for (const each of evals) expect(each).toMatchObject({ valLoss: 0.5, values: { accuracy: 0.75 } });
    expect(heard).toEqual(evals.map(() => ({ accuracy: 0.75 })));
    const html = renderReport({ title: 'A', config: {}, metrics, perplexity: false, tiles: [{ name: 'Accuracy', value: '75 %' }], sections: [{ heading: 'Confusion', matrix }] });
    checkNesting(html);
    for (const part of ['On the validation data', '>accuracy<', '<dt>Accuracy</dt><dd>75 %</dd>', 'Confusion']) expect(html).toContain(part);
    expect(html).not.toContain('perplexity');
    dispose(params as never);
  });
});
