import type { NamedWeight } from '@evenkeel/checkpoint';
import { treePaths, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { prefixTokens, type VitConfig } from './vitConfig.ts';

const LAYOUTS = ['huggingFace', 'timm'] as const;

/** VitLayout — whose names a checkpoint has. */
export type VitLayout = (typeof LAYOUTS)[number];

export const VIT_LAYOUTS: readonly VitLayout[] = LAYOUTS;

/** A linear map or norm of ours and the module's name in each layout; several names are the parts of one. */
type Module = { readonly path: string } & Readonly<Record<VitLayout, string | readonly string[]>>;

const OF_BLOCK: readonly Module[] = [
  { path: 'norm1', timm: 'norm1', huggingFace: 'layernorm_before' },
  { path: 'attn.qkv', timm: 'attn.qkv', huggingFace: ['query', 'key', 'value'].map((part) => `attention.attention.${part}`) },
  { path: 'attn.proj', timm: 'attn.proj', huggingFace: 'attention.output.dense' },
  { path: 'norm2', timm: 'norm2', huggingFace: 'layernorm_after' },
  { path: 'mlp.up', timm: 'mlp.fc1', huggingFace: 'intermediate.dense' },
  { path: 'mlp.down', timm: 'mlp.fc2', huggingFace: 'output.dense' },
];

const ROOT = {
  patches: { timm: 'patch_embed.proj', huggingFace: 'embeddings.patch_embeddings.projection' },
  classToken: { timm: 'cls_token', huggingFace: 'embeddings.cls_token' },
  distillationToken: { timm: 'dist_token', huggingFace: 'embeddings.distillation_token' },
  positions: { timm: 'pos_embed', huggingFace: 'embeddings.position_embeddings' },
  norm: { timm: 'norm', huggingFace: 'layernorm' },
  block: { timm: 'blocks', huggingFace: 'encoder.layer' },
} as const satisfies Record<string, Readonly<Record<VitLayout, string>>>;

/** The heads of a model, by whether it is distilled. */
export const headNames = (layout: VitLayout, { distilled }: Pick<VitConfig, 'distilled'>): readonly { path: string; name: string }[] => {
  if (!distilled) return [{ path: 'head', name: layout === 'timm' ? 'head' : 'classifier' }];
  const [own, dist] = layout === 'timm' ? ['head', 'head_dist'] : ['cls_classifier', 'distillation_classifier'];
  return [{ path: 'head', name: own as string }, { path: 'distillationHead', name: dist as string }];
};

/** vitFileName — the name in a file of a name in `vitNames`. */
export function vitFileName(name: string, layout: VitLayout, { distilled }: Pick<VitConfig, 'distilled'>): string {
  if (layout === 'timm' || headNames(layout, { distilled }).some((head) => name.startsWith(`${head.name}.`))) return name;
  return `${distilled ? 'deit.' : 'vit.'}${name}`;
}

/**
 * vitNames — every parameter of a ViT with its name in Hugging Face's or timm's layout, without the `vit.` or `deit.` prefix.
 *
 * @param specs  of the model: where its blocks have layer scale (`branch1.weight`), timm's names for it stand in the table, too.
 */
export function vitNames(layout: VitLayout, config: VitConfig, specs: Tree<ParamSpec>): NamedWeight[] {
  const { depth, dim, distilled, channels, patchSize, imageSize } = config;
  const named = (name: string | readonly string[], kind: string): string | readonly string[] => (typeof name === 'string' ? `${name}.${kind}` : name.map((each) => `${each}.${kind}`));
  const both = (path: string, name: string | readonly string[]): NamedWeight[] => ['weight', 'bias'].map((kind) => ({ path: `${path}.${kind}`, name: named(name, kind) }));
  const ofBlock = (i: number): NamedWeight[] => {
    const within = (name: string): string => `${ROOT.block[layout]}.${i}.${name}`;
    const placed = (name: string | readonly string[]): string | readonly string[] => (typeof name === 'string' ? within(name) : name.map(within));
    return OF_BLOCK.flatMap((module) => both(`blocks.${i}.${module.path}`, placed(module[layout])));
  };
  const token = (path: string, name: string): NamedWeight => ({ path: `${path}.weight`, name, storedShape: [1, 1, dim] });
  return [
    { path: 'patchEmbedding.weight', name: `${ROOT.patches[layout]}.weight`, storedShape: [dim, channels, patchSize, patchSize], axes: [0, 2, 3, 1] },
    { path: 'patchEmbedding.bias', name: `${ROOT.patches[layout]}.bias` },
    token('classToken', ROOT.classToken[layout]),
    ...(distilled ? [token('distillationToken', ROOT.distillationToken[layout])] : []),
    { path: 'positionEmbedding.weight', name: ROOT.positions[layout], storedShape: [1, (imageSize / patchSize) ** 2 + prefixTokens(config), dim] },
    ...Array.from({ length: depth }, (_, i) => ofBlock(i)).flat(),
    ...layerScaleNames(layout, specs),
    ...both('norm', ROOT.norm[layout]),
    ...headNames(layout, config).flatMap(({ path, name }) => both(path, name)),
  ];
}

function layerScaleNames(layout: VitLayout, specs: Tree<ParamSpec>): NamedWeight[] {
  if (layout !== 'timm') return [];
  return treePaths(specs).flatMap((path) => {
    const [, block, branch] = /^blocks\.(\d+)\.branch([12])\.weight$/.exec(path) ?? [];
    return block === undefined ? [] : [{ path, name: `blocks.${block}.ls${branch}.gamma` }];
  });
}
