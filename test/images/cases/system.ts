import type { Case } from '../table.ts'

const image = 'shell'

/** The contents of every image that docs/images.md describes, one case per row. */
export const system: readonly Case[] = [
  {
    name: '/bin, /sbin, /usr/sbin',
    image,
    run: 'for each in bin sbin usr/sbin; do readlink -f /$each; done; /usr/bin/mkfifo --version | head -c 6',
    prints: '/usr/bin\n/usr/bin\n/usr/bin\nmkfifo',
  },
  {
    name: '/bin/sh, /usr/bin/env',
    image,
    run: '/usr/bin/sh -c "echo sh"; /usr/bin/env true && echo env; echo "#!/usr/bin/bash\necho bash" >/tmp/x; chmod +x /tmp/x; /tmp/x',
    prints: 'sh\nenv\nbash',
  },
  {
    name: '/lib, /share and other folders',
    image,
    run: 'readlink -f /share/nano | cut -c 1-11; cd / && ls -d lib*',
    prints: /^\/nix\/store\/\nlib/,
  },
  {
    name: '/tmp, /var/tmp',
    image,
    run: 'stat -c %a:%u:%g /tmp /var/tmp',
    prints: '1777:0:0\n1777:0:0',
  },
  { name: '/root', image, run: 'stat -c %a:%u:%g /root', prints: '700:0:0' },
  {
    name: '/run, /run/lock',
    image,
    run: 'stat -c %a /run /run/lock; readlink -f /var/run /var/lock',
    prints: '755\n1777\n/run\n/run/lock',
    except: { containerd: 'ctr mounts another file system at /run' },
  },
  {
    name: '/home, /media, /mnt, /opt, /srv',
    image,
    run: 'stat -c %a:%u:%g /home /media /mnt /opt /srv | uniq',
    prints: '755:0:0',
  },
  {
    name: '/usr/local',
    image,
    run: 'cd /usr/local; stat -c %a bin etc include lib sbin share src | uniq -c',
    prints: '7 755',
  },
  {
    name: '/var',
    image,
    run: 'cd /var; stat -c %a cache lib log opt spool | uniq; stat -c %a:%u:%g empty mail',
    prints: '755\n555:0:0\n2775:0:8',
  },
  {
    name: '/etc',
    image,
    run: 'stat -c %a /etc; touch /etc/new && echo writable',
    prints: '755\nwritable',
  },
  {
    name: '/etc/passwd, /etc/group',
    image,
    run: 'stat -c %a /etc/passwd /etc/group; cut -d: -f1,3,6 /etc/passwd | tr "\\n" " "; id -u daemon; id -u www-data; id -g nobody',
    prints: /^644\n644\nroot:0:\/root daemon:1:.* nobody:65534:\/nonexistent 1\n33\n65534$/,
  },
  {
    name: '/etc/shadow, /etc/gshadow',
    image,
    run: 'stat -c %a:%u:%g /etc/shadow /etc/gshadow; cut -d: -f2 /etc/shadow /etc/gshadow | sort -u',
    prints: '640:0:42\n640:0:42\n*',
  },
  {
    name: '/etc/os-release',
    image,
    run: '. /etc/os-release; echo "$ID ${ID_LIKE-none} $NAME"',
    prints: 'nixery none Nixery',
  },
  { name: '/etc/shells', image, run: 'cat /etc/shells', prints: /^\/bin\/sh\n\/usr\/bin\/sh\n\/bin\/bash\n/ },
  {
    name: '/etc/login.defs',
    image,
    run: 'while read -r name value; do [ "$name" = UID_MIN ] && echo $value; done </etc/login.defs',
    prints: '1000',
  },
  {
    name: '/etc/pam.d/other',
    image,
    run: 'head -n 2 /etc/pam.d/other; while read -r line; do case $line in *permit*) echo $line;; esac; done </etc/pam.d/other',
    prints: 'auth sufficient pam_rootok.so\nauth required pam_unix.so',
  },
  {
    name: '/etc/nsswitch.conf',
    image,
    run: 'head -n 1 /etc/nsswitch.conf; tail -n 100 /etc/nsswitch.conf | sort | head -n 1',
    prints: 'passwd: files\nethers: files',
  },
  {
    name: '/etc/hosts, /etc/hostname, /etc/resolv.conf',
    image,
    run: '[ -e /nix/store ] && for each in hosts hostname resolv.conf; do [ -L /etc/$each ] && echo link; done; echo',
    prints: '',
  },
  {
    name: '/etc/services, /etc/protocols',
    image,
    run: 'while read -r name port rest; do [ "$name" = https ] && echo $port; done </etc/services | head -n 1; [ -s /etc/protocols ] && echo protocols',
    prints: '443/tcp\nprotocols',
  },
  {
    name: '/etc/ssl/certs/ca-bundle.crt',
    image,
    run: 'cd /etc; cksum <ssl/certs/ca-bundle.crt >/tmp/one; for each in ssl/certs/ca-certificates.crt pki/tls/certs/ca-bundle.crt; do [ "$(cksum <$each)" = "$(cat /tmp/one)" ] && head -c 27 $each && echo; done',
    prints: '-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----',
  },
  {
    name: 'SSL_CERT_FILE, NIX_SSL_CERT_FILE',
    image,
    run: 'echo $SSL_CERT_FILE $NIX_SSL_CERT_FILE',
    prints: '/etc/ssl/certs/ca-bundle.crt /etc/ssl/certs/ca-bundle.crt',
  },
  {
    name: 'PATH',
    image,
    run: 'echo $PATH',
    prints: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  },
  { name: 'HOME', image, run: 'echo $HOME; cd && pwd', prints: '/root\n/root' },
  {
    name: 'LANG',
    image,
    // The shell must decode the file; a literal in the script would not test that.
    run: 'echo $LANG; printf "\\303\\251" >/tmp/e; bash -c \'e=$(cat /tmp/e); echo ${#e}\'',
    prints: 'C.UTF-8\n1',
  },
  {
    name: '/nix/store',
    image,
    run: 'stat -c %a:%u:%g /nix/store; readlink -f /bin/bash | cut -c1-11',
    prints: /^\d+:0:0\n\/nix\/store\/$/,
  },
  {
    name: 'user and folder',
    image,
    run: 'id -u; pwd',
    prints: '0\n/',
  },
]
