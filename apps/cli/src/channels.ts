import type { ImageSource } from '@evenkeel/data';

/** Shares of red, green and blue in grey (ITU-R BT.601). */
const GREY = [0.299, 0.587, 0.114] as const;

/** withChannels — the images with as many channels as a model wants: grey ones in three, or coloured ones as grey. */
export function withChannels(source: ImageSource, channels: number): ImageSource {
  const [height, width, own] = source.shape;
  if (own === channels) return source;
  const convert = own === 1
    ? (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.length * channels).map((_, i) => bytes[Math.floor(i / channels)] as number)
    : (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.length / own).map((_, i) => Math.round(GREY.reduce((sum, share, c) => sum + share * (bytes[i * own + c] as number), 0)));
  return { ...source, shape: [height, width, channels], read: async (indices) => convert(await source.read(indices)) };
}

/** channelNotes — says what `withChannels` makes of images. */
export const channelNotes = ({ shape: [, , own] }: ImageSource, channels: number): string[] => (own === channels ? [] : [channels === 1 ? 'colour images made grey, as the model wants them' : 'grey images given three channels, as the model wants them']);
