import { errors, jwtVerify, SignJWT } from 'jose'

/** The kinds of signed values, as the `typ` of their header, so that none is accepted as another. */
export const types = {
  access: 'nixery-access+jwt',
  refresh: 'nixery-refresh+jwt',
  session: 'nixery-session+jwt',
  login: 'nixery-login+jwt',
} as const

export type Signer = {
  /** @param seconds for which it is valid */
  sign(
    type: keyof typeof types,
    claims: Readonly<Record<string, unknown>>,
    seconds: number,
  ): { readonly issuedAt: number; readonly signing: Promise<string> }
  /** Returns the claims of a signed text, or what is wrong with it. */
  verify(text: string, type: keyof typeof types): Promise<object | string>
}

/**
 * The maximum number of characters. Clients send the text in a header, and servers and proxies accept 8 to 32 kB of
 * headers.
 */
export const longestSigned = 16 * 1024

const issuer = 'nixery'

/**
 * @param key at least 32 bytes
 * @param now milliseconds since 1970
 */
export const createSigner = (key: Uint8Array, now: () => number): Signer => ({
  sign(type, claims, seconds) {
    const issuedAt = Math.floor(now() / 1000)
    const jwt = new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'HS256', typ: types[type] })
      .setIssuer(issuer)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + seconds)
    return { issuedAt, signing: jwt.sign(key) }
  },
  async verify(text, type) {
    if (text.length > longestSigned) return `it has more than ${longestSigned} characters`
    try {
      const { payload } = await jwtVerify(text, key, {
        algorithms: ['HS256'],
        issuer,
        typ: types[type],
        requiredClaims: ['exp'],
        currentDate: new Date(now()),
      })
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) return 'it has expired'
      if (error instanceof errors.JOSEError) return error.message
      throw error
    }
  },
})
