import type { X509Certificate } from 'node:crypto';
import {
  carriesName,
  endsSoon,
  isWeak,
  outOfDate,
  readCertificates,
  readCrls,
  readPrivateKey,
  type Checked,
} from './credentials.ts';
import type { ConfigDocument } from './document.ts';
import { exposure, readText } from './files.ts';
import { type DatedRing, decodeKeyRing, KEY_WANTED } from './key-ring.ts';
import type { Findings } from './problem.ts';
import type { KeyPath } from './schema-walk.ts';

/** The files that a configuration names, read and checked; what is wrong is reported at the key. */
export class Material {
  readonly #document: ConfigDocument;
  readonly #findings: Findings;
  readonly #nowMs: number;

  constructor(document: ConfigDocument, findings: Findings, nowMs: number) {
    this.#document = document;
    this.#findings = findings;
    this.#nowMs = nowMs;
  }

  /** The ring. */
  clusterKey(at: KeyPath): DatedRing | undefined {
    const said = this.#document.at(at);
    if (typeof said === 'string' && /^[A-Za-z0-9+/=_-]{40,}$/.test(said)) {
      const wanted = 'the path of a file that holds the key';
      this.#document.report(at, 'what looks like the key itself', wanted);
      return undefined;
    }
    const parse = (text: string) => decodeKeyRing(text, this.#nowMs);
    return this.#read({ at, wanted: KEY_WANTED, secret: true, parse })?.ring;
  }

  /** A PEM chain whose first certificate belongs to the key; `serverName`: it carries that name. */
  pair(at: { readonly certificate: KeyPath; readonly key: KeyPath }, serverName?: string) {
    const chain = this.#read({
      at: at.certificate,
      wanted: 'a PEM certificate',
      parse: (pem) => withPem(pem, readCertificates(pem)),
    });
    const key = this.#read({
      at: at.key,
      wanted: 'a PEM private key without a passphrase',
      secret: true,
      parse: (pem) => withPem(pem, readPrivateKey(pem)),
    });
    const leaf = chain?.value[0];
    if (leaf) this.#checkLeaf(at.certificate, leaf, serverName);
    if (!chain || !leaf || !key) return undefined;
    if (leaf.checkPrivateKey(key.value)) return { certificate: chain.pem, key: key.pem };
    this.#document.report(
      at.key,
      `${this.#document.pathAt(at.key)}, the key of another certificate`,
      `the key of ${this.#document.pathAt(at.certificate)}`,
    );
    return undefined;
  }

  /** PEM. */
  ca(at: KeyPath): string | undefined {
    const wanted = 'PEM certificates of certificate authorities';
    const read = this.#read({ at, wanted, parse: (pem) => withPem(pem, readCertificates(pem)) });
    const path = this.#document.pathAt(at);
    for (const certificate of read?.value ?? []) {
      const stale = outOfDate(certificate, this.#nowMs);
      if (!certificate.ca)
        this.#document.report(at, `${path} with a certificate that is no authority's`, wanted);
      if (stale !== undefined) this.#document.report(at, `${path} with ${stale}`, 'a valid one');
      const soon = endsSoon(certificate, this.#nowMs);
      if (soon !== undefined && stale === undefined) this.#warn(`${path} ${soon}`);
    }
    return read?.pem;
  }

  crls(at: KeyPath): readonly string[] {
    const named = this.#document.at(at);
    if (!Array.isArray(named)) return [];
    return named.flatMap((_, index) => {
      const wanted = 'a PEM revocation list';
      const read = this.#read({
        at: [...at, index],
        wanted,
        parse: (pem) => withPem(pem, readCrls(pem)),
      });
      return read?.value ?? [];
    });
  }

  #checkLeaf(at: KeyPath, leaf: X509Certificate, serverName: string | undefined): void {
    const path = this.#document.pathAt(at);
    const stale = outOfDate(leaf, this.#nowMs);
    const weak = isWeak(leaf);
    const soon = endsSoon(leaf, this.#nowMs);
    if (stale !== undefined) this.#document.report(at, `${path} with ${stale}`, 'a valid one');
    else if (soon !== undefined) this.#warn(`${path} ${soon}`);
    if (weak !== undefined) this.#document.report(at, `${path} with ${weak}`, 'RSA-2048 or better');
    if (serverName !== undefined && !carriesName(leaf, serverName)) {
      const names = leaf.subjectAltName ?? 'no name';
      this.#document.report(at, `${path} with ${names}`, `a certificate for DNS:${serverName}`);
    }
  }

  #read<Thing extends object>(options: {
    at: KeyPath;
    wanted: string;
    secret?: boolean;
    parse: (text: string) => Checked<Thing>;
  }): Exclude<Thing, { found: string }> | undefined {
    const path = this.#document.pathAt(options.at);
    if (path === undefined) return undefined;
    if (isContents(String(this.#document.at(options.at)))) {
      const wanted = `the path of ${options.wanted}`;
      this.#document.report(options.at, 'what looks like the contents of a file', wanted);
      return undefined;
    }
    const read = readText(path);
    const parsed = 'found' in read ? read : options.parse(read.text);
    if ('found' in parsed) {
      this.#document.report(options.at, `${path}: ${parsed.found}`, options.wanted);
      return undefined;
    }
    const exposed = options.secret ? exposure(path) : undefined;
    if (exposed !== undefined) this.#warn(exposed);
    return parsed as Exclude<Thing, { found: string }>;
  }

  #warn(sentence: string): void {
    this.#findings.warnings.push(sentence);
  }
}

/** Somebody took the key for the place of the PEM itself: it must not be told as a path. */
function isContents(said: string): boolean {
  return /[\r\n]|-----BEGIN|[A-Za-z0-9+/=]{120}/.test(said);
}

function withPem<Thing extends object>(
  pem: string,
  value: Checked<Thing>,
): Checked<{ readonly pem: string; readonly value: Thing }> {
  return 'found' in value ? value : { pem, value: value as Thing };
}
