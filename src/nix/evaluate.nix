# Looks names up in a package set. `request` is JSON text: data, never code. Nothing but the language's builtins
# is used, so any function from { system, … } to an attribute set is a package set.
#
# request:  { "set": "/absolute/folder", "system": "x86_64-linux", "attributes": [ [ "python3Packages", "requests" ] ] }
# answer:   one record an attribute, in order; see evaluate.ts for their types.
{ request }:
let
  inherit (builtins)
    attrNames elemAt filter fromJSON getAttr hasAttr head isAttrs isFunction length match parseDrvName
    replaceStrings tail typeOf unsafeDiscardStringContext;

  wanted = fromJSON request;

  imported = import wanted.set;
  packageSet =
    if isFunction imported then imported { inherit (wanted) system; }
    else throw "its default.nix is a ${typeOf imported}, but must be a function from { system, ... } to an attribute set";
  set =
    if isAttrs packageSet then packageSet
    else throw "the function in its default.nix gives a ${typeOf packageSet}, but must give an attribute set";

  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];
  toLower = replaceStrings upper lower;

  # The attribute that a part of a name means, as a list of none or one: the name itself; with "_" before a
  # leading digit; or the first, in byte order, that differs in case alone. (Docker has only lower-case names.)
  meaning = attributes: part:
    let
      candidates = [ part ] ++ (if match "[0-9].*" part == null then [ ] else [ "_${part}" ]);
      exact = filter (name: hasAttr name attributes) candidates;
      folded = map toLower candidates;
      alike = filter (name: builtins.elem (toLower name) folded) (attrNames attributes);
    in
    if exact != [ ] then exact else alike;

  look = value: path: rest:
    if rest == [ ] then describe value path
    else if !(isAttrs value) then { status = "missing"; inherit path; siblings = [ ]; }
    else
      let found = meaning value (head rest); in
      if found == [ ] then {
        status = "missing";
        inherit path;
        siblings = if isDerivation value then [ ] else attrNames value;
      }
      else look (getAttr (head found) value) (path ++ [ (head found) ]) (tail rest);

  isDerivation = value: isAttrs value && (value.type or null) == "derivation";

  describe = value: path:
    if isDerivation value then {
      status = "package";
      inherit path;
      drvPath = unsafeDiscardStringContext value.drvPath;
      # Not called outPath: a set with that attribute becomes a plain string in JSON.
      outputPath = unsafeDiscardStringContext value.outPath;
      output = value.outputName or "out";
      pname = value.pname or (parseDrvName value.name).name;
      version = value.version or (parseDrvName value.name).version;
    }
    else { status = "other"; inherit path; type = typeOf value; };
in
{
  names = length (attrNames set);
  results = map (look set [ ]) wanted.attributes;
}
