// Sixty outputs are sixty store paths, and one build.
const outputs = Array.from({ length: 60 }, (_, index) => `o${index}`)
/** A list of packages that refer to each other, as a Nix expression. */
export const packageSet = `let
  run = name: text: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" text ];
  };
  libc = run "libc-2.40" "echo libc > $out";
  # Refers to itself, as most packages do.
  tls = run "tls-3.0" "echo $out \${libc} > $out";
  get = run "get-8.0" "echo \${libc} \${tls} > $out";
  many = derivation {
    name = "many-1.0";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    outputs = [ ${outputs.map((name) => `"${name}"`).join(' ')} ];
    args = [ "-c" "for name in ${outputs.join(' ')}; do eval echo \${libc} '>' \\\\$$name; done" ];
  };
in [ libc tls get ] ++ many.all`

// By hand, from the text above; get-8.0 and the outputs of many are referred to by nothing.
export const expected = { 'libc-2.40': 2 + outputs.length, 'tls-3.0': 2 }
/** How many store paths they are. */
export const all = 3 + outputs.length
