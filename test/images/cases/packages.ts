import type { Case } from '../table.ts'

const languages =
  'shell/python3/python3packages.requests/perl/perlpackages.httpdate/nodejs/nodepackages.semver'
const full = 'ci/shadow/sudo/linux-pam/tzdata/ncurses'

/** The behavior of packages that docs/images.md describes, one case per row. */
export const packages: readonly Case[] = [
  {
    name: 'tzdata',
    image: full,
    run: 'TZ=Europe/Berlin date -d @0 +%H:%M%Z; TZ=America/New_York date -d @0 +%H:%M%Z; ls /usr/share/zoneinfo/UTC /etc/zoneinfo/UTC; echo $TZDIR',
    prints: '01:00CET\n19:00EST\n/etc/zoneinfo/UTC\n/usr/share/zoneinfo/UTC\n/usr/share/zoneinfo',
  },
  {
    name: 'ncurses',
    image: full,
    run: 'tput -T xterm-256color colors; TERM=vt100 tput cols',
    prints: '256\n80',
  },
  {
    name: 'shadow',
    image: full,
    run: 'useradd --create-home --uid 1234 app && id app; groupadd team && usermod -aG team app && id -nG app; stat -c %U /home/app; echo app:secret | chpasswd && echo changed',
    prints: 'uid=1234(app) gid=1234(app) groups=1234(app)\napp team\napp\nchanged',
  },
  {
    name: 'su',
    image: full,
    run: 'su www-data -s /bin/sh -c "id -un"; su - daemon -s /bin/sh -c "id -u"',
    prints: 'www-data\n1',
  },
  {
    name: 'sudo',
    image: full,
    // Without a network, sudo warns that it cannot resolve the host name.
    run: 'sudo -u nobody id -un 2>/dev/null; sudo id -u 2>/dev/null',
    prints: 'nobody\n0',
    except: { containerd: 'sudo reads the limits of processes, which ctr does not set' },
  },
  {
    name: 'python3, python3Packages',
    image: languages,
    run: 'python3 -c "import requests, urllib3, idna; print(requests.__name__, urllib3.__name__)"; echo "#!/usr/bin/python3\nimport requests\nprint(1)" >/tmp/x; chmod +x /tmp/x; /tmp/x',
    prints: 'requests urllib3\n1',
  },
  {
    name: 'perl, perlPackages',
    image: languages,
    run: 'perl -MHTTP::Date -e "print time2str(0)"',
    prints: 'Thu, 01 Jan 1970 00:00:00 GMT',
  },
  {
    name: 'nodejs, nodePackages',
    image: languages,
    run: "cd /tmp; node -e \"console.log(require('semver').inc('1.2.3', 'minor'))\"; semver 1.2.3",
    prints: '1.3.0\n1.2.3',
  },
  {
    name: 'nix',
    image: 'shell/nix',
    run:
      'cat $(nix-build --no-out-link -E \'derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ]; }\' 2>/dev/null); ' +
      'nix-store --gc >/dev/null 2>&1; bash -c "echo still here"; nix-store --verify 2>&1 | tail -n 1',
    prints: /^built\nstill here/,
  },
  {
    name: 'busybox',
    image: 'shell/busybox/curl',
    run: 'date -u -d "2024-01-01 +1 day" +%F; for each in ls cat env date; do $each --version | head -n 1 | cut -d" " -f 1-3; done; nslookup 2>&1 | head -c 7',
    prints:
      '2024-01-02\nls (GNU coreutils)\ncat (GNU coreutils)\nenv (GNU coreutils)\ndate (GNU coreutils)\nBusyBox',
  },
]
