import { z } from 'zod';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { gptConfig, type GptActivation, type GptConfig } from './gptConfig.ts';

/** What `config.json` of a Hugging Face GPT-2 directory must hold; other keys are left alone. */
const schema = z.object({
  model_type: z.literal('gpt2').optional(),
  vocab_size: z.number().int().positive(),
  n_positions: z.number().int().positive(),
  n_embd: z.number().int().positive(),
  n_layer: z.number().int().positive(),
  n_head: z.number().int().positive(),
  n_inner: z.number().int().positive().nullish(),
  activation_function: z.string().default('gelu_new'),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  resid_pdrop: z.number().default(0),
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  add_cross_attention: z.boolean().default(false),
});

const ACTIVATIONS: ReadonlyMap<string, GptActivation> = new Map(Object.entries({
  gelu_new: 'geluTanh', gelu_pytorch_tanh: 'geluTanh', gelu: 'gelu', silu: 'silu', swish: 'silu',
}));
const ACTIVATION_NAMES: Readonly<Record<GptActivation, string>> = { geluTanh: 'gelu_new', gelu: 'gelu', silu: 'silu' };

/**
 * configFromHuggingFace — our configuration from the parsed `config.json` of a GPT-2 checkpoint.
 *
 * @throws ConfigError       if a field is missing or of the wrong kind; the message names it.
 * @throws UnsupportedError  if the checkpoint uses an option that this model does not have.
 */
export function configFromHuggingFace(json: unknown): GptConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError(`configFromHuggingFace: config.json must be a GPT-2 configuration, got ${issue?.path.join('.') || 'a wrong document'}: ${issue?.message ?? ''}`);
  }
  const found = parsed.data;
  const activation = ACTIVATIONS.get(found.activation_function);
  if (activation === undefined) {
    throw new UnsupportedError(`configFromHuggingFace: activation_function must be one of ${[...ACTIVATIONS.keys()].join(', ')}, got ${found.activation_function}`);
  }
  const foreign = !found.scale_attn_weights || found.scale_attn_by_inverse_layer_idx || found.add_cross_attention;
  if (foreign) {
    throw new UnsupportedError('configFromHuggingFace: attention must be scaled by 1/√headDim alone and without cross-attention, got other settings in config.json');
  }
  return gptConfig({
    vocabSize: found.vocab_size, contextLength: found.n_positions, depth: found.n_layer, dim: found.n_embd, numHeads: found.n_head,
    hiddenDim: found.n_inner ?? 4 * found.n_embd, activation, dropout: found.resid_pdrop, normEps: found.layer_norm_epsilon,
    tiedHead: found.tie_word_embeddings,
  });
}

/**
 * configToHuggingFace — the `config.json` with which `transformers` loads the model as GPT2LMHeadModel.
 *
 * @throws UnsupportedError  if GPT-2's layout cannot hold the model: grouped-query heads or no biases.
 */
export function configToHuggingFace(config: GptConfig): Record<string, unknown> {
  const { numHeads, numKvHeads, dim, hiddenDim, dropout } = config;
  if (numKvHeads !== numHeads || !config.bias) {
    throw new UnsupportedError(
      `configToHuggingFace: GPT-2's layout must have biases and as many key-value heads as heads, got bias ${config.bias} and ${numKvHeads} of ${numHeads}`);
  }
  return {
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    vocab_size: config.vocabSize,
    n_positions: config.contextLength,
    n_ctx: config.contextLength,
    n_embd: dim,
    n_layer: config.depth,
    n_head: numHeads,
    n_inner: hiddenDim === 4 * dim ? null : hiddenDim,
    activation_function: ACTIVATION_NAMES[config.activation],
    layer_norm_epsilon: config.normEps,
    resid_pdrop: dropout,
    embd_pdrop: dropout,
    attn_pdrop: dropout,
    initializer_range: 0.02,
    scale_attn_weights: true,
    tie_word_embeddings: config.tiedHead,
    torch_dtype: 'float32',
  };
}
