/** DatasetFile — what is known of a public data set of one file: where it lies, and its bytes. */
export type DatasetFile = {
  /** Below a data folder. */
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Where it can be fetched from; absent if nobody offers it in this form. */
  readonly url?: string;
  readonly what?: string;
  readonly licence?: string;
};

const GITHUB = 'https://raw.githubusercontent.com';

/** DATASETS — by name. */
export const DATASETS = {
  tinyshakespeare: {
    file: 'text/tinyshakespeare.txt', bytes: 1_115_394, sha256: '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
    url: `${GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt`, what: '1.1 MB of Shakespeare’s plays', licence: 'public domain',
  },
  'wikitext-2-valid': {
    file: 'text/wikitext-2-valid.txt', bytes: 1_121_681, sha256: 'f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8',
    url: `${GITHUB}/pytorch/examples/main/word_language_model/data/wikitext-2/valid.txt`, what: 'WikiText-2, validation part', licence: 'CC BY-SA',
  },
  'wikitext-2-test': {
    file: 'text/wikitext-2-test.txt', bytes: 1_256_449, sha256: 'd790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0',
    url: `${GITHUB}/pytorch/examples/main/word_language_model/data/wikitext-2/test.txt`, what: 'WikiText-2, test part', licence: 'CC BY-SA',
  },
  'mnist-t10k-images': {
    file: 'images/t10k-images-idx3-ubyte.gz', bytes: 1_648_877, sha256: '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
    url: `${GITHUB}/fgnt/mnist/master/t10k-images-idx3-ubyte.gz`, what: 'MNIST, 10,000 test images, IDX', licence: 'CC BY-SA',
  },
  'mnist-t10k-labels': {
    file: 'images/t10k-labels-idx1-ubyte.gz', bytes: 4542, sha256: 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
    url: `${GITHUB}/fgnt/mnist/master/t10k-labels-idx1-ubyte.gz`, what: 'MNIST, their labels, IDX', licence: 'CC BY-SA',
  },
  'cifar10-train-10k': {
    file: 'images/cifar10-train-10k.bin.gz', bytes: 28_230_046, sha256: '062bcd747d244984881952ab4a028bb82dc9c5e47f7011c3110cb870b3760976',
    what: '10,000 training images of CIFAR-10, binary version', licence: 'none stated',
  },
  'cifar10-test-2k': {
    file: 'images/cifar10-test-2k.bin.gz', bytes: 5_648_271, sha256: '6e72cfab28bd5219c5bd58b418df6a871da561443f70acff199b8da458ae4987',
    what: '2,000 test images of CIFAR-10, binary version', licence: 'none stated',
  },
} as const satisfies Readonly<Record<string, DatasetFile>>;

/** DatasetName — `tinyshakespeare`, `wikitext-2-valid`, `mnist-t10k-images`, … */
export type DatasetName = keyof typeof DATASETS;
