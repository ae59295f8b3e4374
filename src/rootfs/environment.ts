/**
 * Variables that a container of every image starts with. `PATH` is Docker's own, so that what is copied to
 * `/usr/local/bin` is found, and found first. `HOME` is for the runtime to set: it knows the user.
 */
export const environment: readonly string[] = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
  // Programs of nixpkgs look here first.
  'NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt',
]
