import { describe, expect, it } from 'vitest';
import { checkDocs } from '../docs.ts';
import { fixture, manifest } from './fixture.ts';

const index = `export { a, type B } from './a.ts'; export * from './c.ts'; export type { D as E } from './a.ts';`;
const readme = '# n\n\n## Example\n\n```js\nF();\n```\n\n## Functions\n\n| `a(x)` |\n\n## Memory\n\n## Limits\n';
const tree = {
  'packages/norms/package.json': manifest('norms', 'layer:2'),
  'packages/norms/src/index.ts': index,
  'packages/norms/src/c.ts': 'export function F() {} export const G = 1; const hidden = 2; export type H = 1;',
  'tools/testing/package.json': manifest('testing', 'tool', { private: true }),
};

describe('checkDocs', () => {
  it('checkDocs names every exported value that the README does not', () => {
    expect(checkDocs(fixture({ ...tree, 'packages/norms/README.md': readme }))).toEqual([
      'packages/norms/README.md: must name the export F', 'packages/norms/README.md: must name the export G',
    ]);
  });

  it('checkDocs accepts a complete README', () => {
    expect(checkDocs(fixture({ ...tree, 'packages/norms/README.md': `${readme}\`F\` \`G\`\n` }))).toEqual([]);
  });

  it('checkDocs asks for a README and its headings', () => {
    expect(checkDocs(fixture(tree))).toEqual(['packages/norms/README.md: missing']);
    expect(checkDocs(fixture({ ...tree, 'packages/norms/README.md': '# n\n`a` `F` `G`\n' }))).toHaveLength(4);
  });
});
