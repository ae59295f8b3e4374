# Looks names up in a package set. Nothing but the language's builtins is used, so any function from { system, … } to
# an attribute set is a package set. It takes the package set, and then as many requests as one likes.
#
# identity: { "set": { "folder": "/absolute" } or { "flake": "<locked reference>" }, "system": "x86_64-linux",
#             "config": { "allowUnfree": true }, "overlays": [ "/absolute/file.nix" ] }
# request:  { "attributes": [ [ "python3Packages", "requests" ] ], "guarded": true }
# answer:   one record an attribute, in order; see evaluate-answer.ts for their types. If guarded, one that throws is
#           { "status": "thrown" } and the others are answered; Nix tells its message only if it may fail.
identity:
let
  inherit (builtins)
    attrNames deepSeq filter getAttr hasAttr head isAttrs isFunction isString listToAttrs match
    parseDrvName removeAttrs replaceStrings seq tail toJSON tryEval typeOf unsafeDiscardStringContext;

  # Sets that are not nixpkgs need not know of a configuration: it is given only if there is one.
  arguments = { inherit (identity) system; }
    // (if (identity.config or { }) == { } then { } else { inherit (identity) config; })
    // (if (identity.overlays or [ ]) == [ ] then { } else { overlays = map (file: import file) identity.overlays; });

  flakeOutputs = builtins.getFlake identity.set.flake;
  fromFlake = (flakeOutputs.legacyPackages.${identity.system} or { }) // (flakeOutputs.packages.${identity.system} or { });

  imported = import identity.set.folder;
  packageSet =
    if identity.set ? flake then fromFlake
    else if isFunction imported then imported arguments
    else throw "its default.nix is a ${typeOf imported}, but must be a function from { system, ... } to an attribute set";
  set =
    if isAttrs packageSet then packageSet
    else throw "the function in its default.nix gives a ${typeOf packageSet}, but must give an attribute set";

  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];
  toLower = replaceStrings upper lower;

  # Names by what they are in lower case. Of those that differ in case alone, the first in byte order.
  foldedNames = attributes: listToAttrs (map (name: { name = toLower name; value = name; }) (attrNames attributes));

  # Of the whole set, which may have a hundred thousand names, once for all that is asked.
  topNames = attrNames set;
  topFolded = foldedNames set;

  # The attribute that a part of a name means, as a list of none or more of which the first counts: the name itself;
  # with "_" before a leading digit; or one that differs in case alone. (Docker has only lower-case names.)
  meaning = attributes: folded: part:
    let
      candidates = [ part ] ++ (if match "[0-9].*" part == null then [ ] else [ "_${part}" ]);
      exact = filter (name: hasAttr name attributes) candidates;
      alike = filter (name: hasAttr name folded) (map toLower candidates);
    in
    if exact != [ ] then exact else map (name: getAttr name folded) alike;

  look = value: path: rest:
    if rest == [ ] then describe value path
    else if !(isAttrs value) then missingAt path [ ]
    else
      let
        isTop = path == [ ];
        found = meaning value (if isTop then topFolded else foldedNames value) (head rest);
      in
      if found == [ ]
      then missingAt path (if isTop then topNames else if isDerivation value then [ ] else attrNames value)
      else look (getAttr (head found) value) (path ++ [ (head found) ]) (tail rest);

  missingAt = path: siblings: { status = "missing"; inherit path siblings; place = toJSON path; };

  isDerivation = value: isAttrs value && (value.type or null) == "derivation";

  describe = value: path:
    if isDerivation value then
      let
        parsed = parseDrvName value.name;
        # Some have null for a version, or a path.
        textOr = other: text: if isString text then unsafeDiscardStringContext text else other;
      in
      {
        status = "package";
        inherit path;
        drvPath = unsafeDiscardStringContext value.drvPath;
        # Not called outPath: a set with that attribute becomes a plain string in JSON.
        outputPath = unsafeDiscardStringContext value.outPath;
        output = textOr "out" (value.outputName or null);
        pname = textOr parsed.name (value.pname or null);
        version = textOr parsed.version (value.version or null);
      }
    else { status = "other"; inherit path; type = typeOf value; };

  guard = result:
    let tried = tryEval (seq (result.siblings or null) (deepSeq (removeAttrs result [ "siblings" ]) result)); in
    if tried.success then tried.value else { status = "thrown"; };

in
request:
let
  answer = attribute:
    let result = look set [ ] attribute; in
    if request.guarded then guard result else result;

  # A set that is broken as a whole is not a broken attribute.
  results = seq set (map answer request.attributes);
  missing = filter (result: result.status == "missing") results;
in
{
  results = map (result: removeAttrs result [ "siblings" ]) results;
  # The names that there are instead, once for each place.
  siblings = listToAttrs (map ({ place, siblings, ... }: { name = place; value = siblings; }) missing);
}
