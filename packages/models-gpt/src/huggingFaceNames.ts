import type { NamedWeight } from '@evenkeel/checkpoint';
import type { GptConfig } from './gptConfig.ts';

/** Gpt2Weight — one parameter under both its names; `transposed` where GPT-2's Conv1D stores `in out`. */
export type Gpt2Weight = NamedWeight & { readonly name: string; readonly transposed: boolean };

const OF_BLOCK: readonly (readonly [path: string, name: string, transposed: boolean])[] = [
  ['norm1', 'ln_1', false],
  ['attn.qkv', 'attn.c_attn', true],
  ['attn.proj', 'attn.c_proj', true],
  ['norm2', 'ln_2', false],
  ['mlp.up', 'mlp.c_fc', true],
  ['mlp.down', 'mlp.c_proj', true],
];

/** gpt2Names — every parameter of a GPT with its name in `transformers`' GPT2Model, without the `transformer.` prefix. */
export function gpt2Names({ depth, tiedHead }: GptConfig): Gpt2Weight[] {
  const both = (path: string, name: string, transposed: boolean): Gpt2Weight[] => [
    { path: `${path}.weight`, name: `${name}.weight`, transposed },
    { path: `${path}.bias`, name: `${name}.bias`, transposed: false },
  ];
  const blocks = Array.from({ length: depth }, (_, i) => OF_BLOCK.flatMap(([path, name, transposed]) => both(`blocks.${i}.${path}`, `h.${i}.${name}`, transposed)));
  return [
    { path: 'tokenEmbedding.weight', name: 'wte.weight', transposed: false },
    { path: 'positionEmbedding.weight', name: 'wpe.weight', transposed: false },
    ...blocks.flat(),
    ...both('norm', 'ln_f', false),
    ...(tiedHead ? [] : [{ path: 'head.weight', name: 'lm_head.weight', transposed: false }]),
  ];
}

/** isIgnorable — whether a tensor of a GPT-2 file holds no weight: causal-mask buffers, and the head where it is tied. */
export function isIgnorable(name: string, { tiedHead }: GptConfig): boolean {
  return /^h\.\d+\.attn\.(bias|masked_bias)$/.test(name) || (tiedHead && name === 'lm_head.weight');
}
