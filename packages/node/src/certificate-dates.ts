import type { X509Certificate } from 'node:crypto';

/** Wall milliseconds since 1970; undefined for what is no time. */
export interface CertificateDates {
  readonly from: number | undefined;
  readonly to: number | undefined;
}

/** `ASN1_TIME_print` of OpenSSL, which writes other words for what is no time. */
const PRINTED_TIME = /^[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4} GMT$/;

/** When a certificate is valid. The runtime's own date of what is no time is what lay in memory. */
export function certificateDates(certificate: X509Certificate): CertificateDates {
  const { validFrom, validFromDate, validTo, validToDate } = certificate;
  return {
    from: believed(validFrom, validFromDate.getTime()),
    to: believed(validTo, validToDate.getTime()),
  };
}

function believed(printed: string, ms: number): number | undefined {
  return PRINTED_TIME.test(printed) && !Number.isNaN(ms) ? ms : undefined;
}
