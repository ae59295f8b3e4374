# Looks names up in a package set. Nothing but the language's builtins is used, so any function from { system, … } to
# an attribute set is a package set. It takes the package set, and then as many requests as one likes.
#
# identity: { "set": { "folder": "/absolute" } or { "flake": "<locked reference>" }, "system": "x86_64-linux",
#             "config": { "allowUnfree": true }, "overlays": [ "/absolute/file.nix" ],
#             "configFile": null or "/absolute/config.nix",
#             "mode": "open", "restricted" or "pure" }
# request:  { "attributes": [ [ "python3Packages", "requests" ] ], "guarded": true,
#             "limits": { "denied": [ 0 ], "alias.pkgs.denied": [ 3, 3, 2 ] } }, limits only where names are restricted;
#             with "meta": false, nothing of a package's meta is evaluated.
#             A part may be a list: the name as it is written, and the one that it spells (image/spelling.ts).
# answer:   one record an attribute, in order; see evaluate-answer.ts for their types. If guarded, one that throws is
#           { "status": "thrown" } and the others are answered; Nix tells its message only if it may fail.
#           An attribute with limits is followed no further than they say (packages/policy.ts): the value that lies
#           beyond is not evaluated, and the answer is { "status": "denied" }.
identity:
let
  inherit (builtins)
    any attrNames concatStringsSep deepSeq elem elemAt filter fromJSON functionArgs genList getAttr hasAttr head
    intersectAttrs isAttrs isFunction isInt isList isString length listToAttrs match parseDrvName removeAttrs
    replaceStrings seq substring tail toJSON toXML tryEval typeOf unsafeDiscardStringContext;

  # A function that takes them, or takes anything, is always given both: without, a nixpkgs looks for a configuration
  # and overlays in the environment and the home folder. Only this form of a function tells of "...".
  form = toXML imported;
  takesAnything = match ".*<attrspat[^>]* ellipsis=.*" form != null || match ".*<attrspat.*" form == null;
  takes = name: takesAnything || hasAttr name (functionArgs imported);

  # A file with a function, from { pkgs, ... } or whatever else the set gives it, stays one.
  configured = if identity.configFile or null == null then { } else import identity.configFile;
  config = if isFunction configured then given: configured given // identity.config or { } else configured // identity.config or { };

  arguments = { inherit (identity) system; }
    // (if takes "config" then { inherit config; } else { })
    // (if takes "overlays" then { overlays = map (file: import file) (identity.overlays or [ ]); } else { });

  flakeOutputs = builtins.getFlake identity.set.flake;
  fromFlake = (flakeOutputs.legacyPackages.${identity.system} or { }) // (flakeOutputs.packages.${identity.system} or { });

  imported = import identity.set.folder;
  packageSet =
    if identity.set ? flake then fromFlake
    else if isFunction imported then imported arguments
    else throw "its default.nix is a ${typeOf imported}, but must be a function from { system, ... } to an attribute set";
  # What Nix was told to do is believed only if it is seen to be done: `nix repl` of 2.8 knows no pure evaluation.
  isKept =
    if identity.mode == "pure" then !(builtins ? currentSystem)
    else identity.mode == "restricted" -> !(builtins.pathExists "/proc/self/environ");

  set =
    if !isKept then throw "this version of Nix does not restrict evaluation as it was told to"
    else if isAttrs packageSet then packageSet
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

  # What is spelled counts if nothing is called as it is written.
  spellings = part: if isList part then part else [ part ];
  meaningOf = attributes: folded: part: builtins.concatLists (map (meaning attributes folded) (spellings part));

  # Whether a set in the package set is another instance of it (nixpkgs has `pkgs`, `buildPackages`, `pkgsStatic`): it
  # has nearly all of its names.
  isInstance = value: 10 * length (attrNames (intersectAttrs set value)) >= 9 * length topNames;

  # `at` is how far a name was followed. `start`: how many parts lead to the innermost instance of the package set;
  # `packagePath`: the path without the outputs at its end, and `package` what is there.
  look = limits: at: rest:
    if rest == [ ] then describe at
    else if !(isAttrs at.value) then missingAt at.path [ ]
    else
      let
        isTop = at.path == [ ];
        found = meaningOf at.value (if isTop then topFolded else foldedNames at.value) (head rest);
        name = head found;
        value = getAttr name at.value;
        path = at.path ++ [ name ];
        # The package set itself is none, even if it has an attribute called `type`.
        inDerivation = !isTop && isDerivation at.value;
        start = if limits == null || isTop || inDerivation || !(isInstance at.value) then at.start else length at.path;
        isOutput = inDerivation && elem name (at.value.outputs or [ ]) && at.value.drvPath == value.drvPath or null;
      in
      if found == [ ]
      then missingAt at.path (if isTop then topNames else if inDerivation then [ ] else attrNames at.value)
      else if limits != null && length path > elemAt limits start then { status = "denied"; inherit path; }
      else look limits { inherit (at) mayLookInside readsMeta; inherit value path start; packagePath = if isOutput then at.packagePath else path; package = if isOutput then at.package else value; } (tail rest);

  missingAt = path: siblings: { status = "missing"; inherit path siblings; place = toJSON path; };

  isDerivation = value: isAttrs value && (value.type or null) == "derivation";

  describe = { value, path, packagePath, package, mayLookInside, readsMeta, ... }:
    if isDerivation value then
      let
        parsed = parseDrvName value.name;
        # Some have null for a version, or a path.
        textOr = other: text: if isString text then plain text else other;
        # What is said of a package is said of its outputs, which need not repeat it.
        meta = if readsMeta then metaOf package else { };
        output = textOr "out" (value.outputName or null);
      in
      {
        status = "package";
        inherit path packagePath;
        drvPath = unsafeDiscardStringContext value.drvPath;
        # Not called outPath: a set with that attribute becomes a plain string in JSON.
        outputs = [ { inherit output; outputPath = unsafeDiscardStringContext value.outPath; } ]
          ++ (if path == packagePath then otherOutputs meta value output else [ ]);
        pname = textOr parsed.name (value.pname or null);
        version = textOr parsed.version (value.version or null);
        priority = priorityOf meta;
        license = licenseOf 0 (fieldOf meta "license");
      }
    else { status = "other"; inherit path; type = kindOf mayLookInside value; };

  # What a package says of itself may be missing, fail, or be anything: that must not fail the package. No other field
  # is evaluated than those that nixpkgs evaluates to check whether a package may be used.
  orElse = other: value: let tried = tryEval value; in if tried.success then tried.value else other;
  metaOf = value: orElse { } (let meta = value.meta or { }; in if isAttrs meta then meta else { });
  fieldOf = meta: name: orElse null (meta.${name} or null);
  plain = text: substring 0 200 (unsafeDiscardStringContext text);
  firstOf = count: list: genList (elemAt list) (if length list < count then length list else count);

  # As nix-env reads it, which takes text for a number, too (libexpr/get-drvs.cc).
  priorityOf = meta:
    let
      said = fieldOf meta "priority";
      number = if isString said && match "-?(0|[1-9][0-9]{0,8})" (plain said) != null then fromJSON (plain said) else said;
    in
    if !(isInt number) then 5 else if number > 999999999 then 999999999 else if number < -999999999 then -999999999 else number;

  # The outputs that belong to a package besides its default one: what nix-env installs, without what is only for
  # reading. A set may call one output of a package a package (`dig = bind.dnsutils`): that one is meant alone.
  notForRunning = [ "man" "info" "doc" "devdoc" ];
  otherOutputs = meta: value: default:
    let
      texts = list: filter (each: orElse false (isString each)) (if isList list then firstOf 50 list else [ ]);
      all = texts (orElse [ ] (value.outputs or [ ]));
      installed = texts (fieldOf meta "outputsToInstall");
      isDefault = all != [ ] && head all == default && orElse true (value.outputSpecified or false) != true;
      ofSame = name: orElse false (
        hasAttr name value && isAttrs value.${name} && value.${name}.drvPath == value.drvPath && isString value.${name}.outPath
      );
      others = filter (name: name != default && elem name installed && !(elem name notForRunning) && ofSame name) all;
    in
    if isDefault then map (output: { inherit output; outputPath = unsafeDiscardStringContext value.${output}.outPath; }) others else [ ];

  # nixpkgs' forms of a license, to a depth and length that no package may choose: text; a list; a set with spdxId,
  # shortName, …; and, in later versions, several joined by an operator (lib/licenses/operators.nix).
  licenseOf = depth: value:
    let
      text = name: let said = fieldOf value name; in if isString said then plain said else null;
      most = if depth == 0 then 30 else 8;
      several = list: if isList list && length list <= most then map (licenseOf (depth + 1)) list else [ null ];
      form =
        if isString value then { text = plain value; }
        else if isList value then { operator = "AND"; licenses = several value; }
        else if !(isAttrs value) || isDerivation value then null
        else if text "operator" != null then {
          operator = text "operator";
          licenses = several (value.licenses or ([ (value.license or null) ] ++ (if value ? exception then [ value.exception ] else [ ])));
        }
        else { spdxId = text "spdxId"; name = if text "shortName" != null then text "shortName" else text "fullName"; };
    in
    if depth > 3 then null else orElse null (deepSeq form form);

  # nixpkgs marks its sets of packages, those that are not to be descended into as well (`lib.dontRecurseIntoAttrs`). Of
  # other sets some members are looked at, if that is allowed and none can fail the whole.
  kindOf = mayLookInside: value:
    if !(isAttrs value) then typeOf value
    else if value ? __functor then "lambda"
    else if value ? recurseForDerivations || isInstance value || mayLookInside && hasPackage value then "packages"
    else "set";
  hasPackage = value:
    let
      names = attrNames value;
      some = genList (index: getAttr (elemAt names index) value) (if length names < 10 then length names else 10);
      isPackage = member: let tried = tryEval (isDerivation member); in tried.success && tried.value;
    in
    any isPackage some;

  guard = result:
    let tried = tryEval (seq (result.siblings or null) (deepSeq (removeAttrs result [ "siblings" ]) result)); in
    if tried.success then tried.value else { status = "thrown"; };

in
request:
let
  answer = attribute:
    let
      limits = (request.limits or { }).${concatStringsSep "." (map (part: head (spellings part)) attribute)} or null;
      # With limits on any name, members may be what must not be evaluated; unguarded, one may fail the whole.
      mayLookInside = request.guarded && !(request ? limits);
      readsMeta = request.meta or true;
      result = look limits { value = set; path = [ ]; start = 0; packagePath = [ ]; package = set; inherit mayLookInside readsMeta; } attribute;
    in
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
