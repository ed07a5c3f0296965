import { z } from 'zod';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { vitConfig, type VitActivation, type VitConfig } from './vitConfig.ts';
import type { VitLayout } from './vitNames.ts';

const size = z.number().int().positive();

/** What `config.json` of a Hugging Face ViT or DeiT directory must hold; other keys are left alone. */
const huggingFace = z.object({
  model_type: z.enum(['vit', 'deit']),
  architectures: z.array(z.string()).default([]),
  image_size: size, patch_size: size, num_channels: size.default(3), hidden_size: size, num_hidden_layers: size, num_attention_heads: size,
  intermediate_size: size.optional(), hidden_act: z.string().default('gelu'), hidden_dropout_prob: z.number().default(0), layer_norm_eps: z.number().positive().default(1e-12),
  qkv_bias: z.boolean().default(true), id2label: z.record(z.string(), z.string()).optional(), num_labels: size.optional(),
});

/** What timm's `config.json` must hold. */
const timm = z.object({
  architecture: z.string(), num_classes: size,
  global_pool: z.string().default('token'),
  model_args: z.object({
    img_size: size, patch_size: size, in_chans: size, embed_dim: size, depth: size, num_heads: size, mlp_ratio: z.number().positive(), init_values: z.number().nullable(),
  }).partial().default({}),
});

const ACTIVATIONS: ReadonlyMap<string, VitActivation> = new Map([['gelu', 'gelu'], ['gelu_new', 'geluTanh'], ['gelu_pytorch_tanh', 'geluTanh'], ['silu', 'silu']]);
const ACTIVATION_NAMES: Readonly<Record<VitActivation, string>> = { gelu: 'gelu', geluTanh: 'gelu_pytorch_tanh', silu: 'silu' };

/** The sizes that timm's names stand for. */
const TIMM_SIZES: Readonly<Record<string, { dim: number; depth: number; numHeads: number }>> = {
  tiny: { dim: 192, depth: 12, numHeads: 3 }, small: { dim: 384, depth: 12, numHeads: 6 }, base: { dim: 768, depth: 12, numHeads: 12 }, large: { dim: 1024, depth: 24, numHeads: 16 },
};

/** VitCheckpointConfig — a model's sizes, and whose layout says them; `layerScale`: the factors' first value, where blocks have them. */
export type VitCheckpointConfig = { readonly layout: VitLayout; readonly config: VitConfig; readonly layerScale?: number };

/**
 * vitConfigFromJson — the configuration in a `config.json` of Hugging Face (ViT, or DeiT with both heads) or of timm.
 *
 * @throws ConfigError       if it is neither, or a field is missing or of the wrong kind; the message names it.
 * @throws UnsupportedError  if the checkpoint uses an option that this model does not have.
 */
export function vitConfigFromJson(json: unknown): VitCheckpointConfig {
  return typeof json === 'object' && json !== null && 'architecture' in json ? fromTimm(parse(timm, 'a timm', json)) : fromHuggingFace(parse(huggingFace, 'a ViT or DeiT', json));
}

function parse<T>(schema: z.ZodType<T>, kind: string, json: unknown): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ConfigError(`vitConfigFromJson: config.json must be ${kind} configuration, got ${issue?.path.join('.') || 'a wrong document'}: ${issue?.message ?? ''}`);
}

function fromHuggingFace(found: z.infer<typeof huggingFace>): VitCheckpointConfig {
  const activation = ACTIVATIONS.get(found.hidden_act);
  if (activation === undefined) throw new UnsupportedError(`vitConfigFromJson: hidden_act must be one of ${[...ACTIVATIONS.keys()].join(', ')}, got ${found.hidden_act}`);
  if (!found.qkv_bias) throw new UnsupportedError('vitConfigFromJson: qkv_bias must be true, got false');
  const distilled = found.model_type === 'deit';
  if (distilled && found.architectures.includes('DeiTForImageClassification')) {
    throw new UnsupportedError('vitConfigFromJson: architectures must be DeiTForImageClassificationWithTeacher, of both heads, got DeiTForImageClassification');
  }
  return {
    layout: 'huggingFace',
    config: vitConfig({
      imageSize: found.image_size, patchSize: found.patch_size, channels: found.num_channels, numClasses: found.num_labels ?? classCount(found.id2label), depth: found.num_hidden_layers,
      dim: found.hidden_size, numHeads: found.num_attention_heads, hiddenDim: found.intermediate_size ?? 4 * found.hidden_size, activation,
      dropout: found.hidden_dropout_prob, normEps: found.layer_norm_eps, distilled,
    }),
  };
}

/** transformers leaves labels out where there are two, its default. */
const classCount = (labels: Readonly<Record<string, string>> | undefined): number => (labels === undefined ? 2 : Object.keys(labels).length);

function fromTimm({ architecture, num_classes, global_pool, model_args: given }: z.infer<typeof timm>): VitCheckpointConfig {
  const [, family, named, distilled, patch, image] = /^(vit|deit)_([a-z]+)(_distilled)?_patch(\d+)_(\d+)/.exec(architecture) ?? [];
  const sizes = named === undefined ? undefined : TIMM_SIZES[named];
  if (family === undefined || (sizes === undefined && (given.embed_dim === undefined || given.depth === undefined || given.num_heads === undefined))) {
    throw new UnsupportedError(`vitConfigFromJson: architecture must be a vit or deit of size ${Object.keys(TIMM_SIZES).join(', ')}, such as vit_tiny_patch16_224, got ${architecture}`);
  }
  if (global_pool !== 'token') throw new UnsupportedError(`vitConfigFromJson: global_pool must be token, got ${global_pool}`);
  const dim = given.embed_dim ?? (sizes?.dim as number);
  return {
    layout: 'timm',
    ...(typeof given.init_values === 'number' && { layerScale: given.init_values }),
    config: vitConfig({
      imageSize: given.img_size ?? Number(image), patchSize: given.patch_size ?? Number(patch), channels: given.in_chans ?? 3, numClasses: num_classes, depth: given.depth ?? (sizes?.depth as number),
      dim, numHeads: given.num_heads ?? (sizes?.numHeads as number), hiddenDim: Math.floor(dim * (given.mlp_ratio ?? 4)), distilled: distilled !== undefined,
    }),
  };
}

export type VitJsonOptions = {
  /** Names of the classes, for `id2label`. Default LABEL_0, LABEL_1, … */
  classes?: readonly string[];
  /** The first value of layer scale, where the model has it: timm's `init_values`. */
  layerScale?: number;
};

/**
 * vitConfigToJson — the `config.json` with which `transformers` or `timm` makes the model.
 *
 * @throws ConfigError       if `classes` are not as many as the model's.
 * @throws UnsupportedError  if timm's layout cannot say the model: another activation than GELU, or another eps than 1e-6.
 */
export function vitConfigToJson(layout: VitLayout, config: VitConfig, { classes = Array.from({ length: config.numClasses }, (_, i) => `LABEL_${i}`), layerScale }: VitJsonOptions = {}): Record<string, unknown> {
  if (classes.length !== config.numClasses) throw new ConfigError(`vitConfigToJson: classes must be ${config.numClasses}, as many as the model's, got ${classes.length}`);
  return layout === 'timm' ? toTimm(config, classes, layerScale) : toHuggingFace(config, classes);
}

function toHuggingFace(config: VitConfig, classes: readonly string[]): Record<string, unknown> {
  return {
    architectures: [config.distilled ? 'DeiTForImageClassificationWithTeacher' : 'ViTForImageClassification'],
    model_type: config.distilled ? 'deit' : 'vit',
    image_size: config.imageSize, patch_size: config.patchSize, num_channels: config.channels,
    hidden_size: config.dim, num_hidden_layers: config.depth, num_attention_heads: config.numHeads, intermediate_size: config.hiddenDim,
    hidden_act: ACTIVATION_NAMES[config.activation], hidden_dropout_prob: config.dropout, attention_probs_dropout_prob: 0,
    layer_norm_eps: config.normEps, initializer_range: 0.02, qkv_bias: true,
    id2label: Object.fromEntries(classes.map((name, i) => [String(i), name])), label2id: Object.fromEntries(classes.map((name, i) => [name, i])),
    torch_dtype: 'float32',
  };
}

function toTimm(config: VitConfig, classes: readonly string[], layerScale: number | undefined): Record<string, unknown> {
  if (config.activation !== 'gelu' || config.normEps !== 1e-6) {
    throw new UnsupportedError(`vitConfigToJson: timm's layout must have activation gelu and normEps 1e-6, got ${config.activation} and ${config.normEps}. Use huggingFace.`);
  }
  const named = Object.entries(TIMM_SIZES).find(([, { dim }]) => dim === config.dim)?.[0] ?? 'tiny';
  return {
    architecture: `${config.distilled ? 'deit' : 'vit'}_${named}${config.distilled ? '_distilled' : ''}_patch16_224`,
    num_classes: config.numClasses, num_features: config.dim, global_pool: 'token', label_names: classes,
    model_args: {
      img_size: config.imageSize, patch_size: config.patchSize, in_chans: config.channels, embed_dim: config.dim, depth: config.depth, num_heads: config.numHeads,
      mlp_ratio: config.hiddenDim / config.dim, ...(layerScale !== undefined && { init_values: layerScale }),
    },
  };
}
