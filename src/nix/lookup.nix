# Looks names up in a package set. It uses only the language's builtins, so any function from { system, … } to an
# attribute set is a package set. It takes the package set, and then any number of requests.
#
# identity: { "set": { "folder": "/absolute" } or { "flake": "<locked reference>" }, "system": "x86_64-linux",
#             "config": { "allowUnfree": true }, "overlays": [ "/absolute/file.nix" ],
#             "configFile": null or "/absolute/config.nix",
#             "mode": "open", "restricted" or "pure" }
# request:  { "attributes": [ [ "python3Packages", "requests" ] ], "guarded": true,
#             "limits": { "denied": [ 0 ], "alias.pkgs.denied": [ 3, 3, 2 ] } }, limits only if names are restricted;
#             with "meta": false, the meta of packages is not evaluated.
#             A part may be a list: the name as written, and the decoded name (image/spelling.ts).
# answer:   one record per attribute, in order; see evaluate-answer.ts for their types. If guarded, an attribute that
#           throws gives { "status": "thrown" } and the others are answered; Nix reports the message only if the failure
#           is not caught. An attribute with limits is followed no further than these (packages/policy.ts): the value
#           beyond them is not evaluated, and the answer is { "status": "denied" }.
#           A request with "list" lists packages: see list.ts.
#           A request with "image" is for a recipe of the package set, `images.NAME`, or with null for all their names;
#           see image-recipes.ts for its answer.
identity:
let
  inherit (builtins)
    any attrNames concatStringsSep deepSeq elem elemAt filter fromJSON functionArgs genList getAttr hasAttr head
    intersectAttrs isAttrs isFunction isInt isList isString length listToAttrs match parseDrvName removeAttrs
    getContext mapAttrs attrValues isPath concatMap replaceStrings seq substring tail toJSON toXML tryEval typeOf unsafeDiscardStringContext;

  # A function that accepts them, or any argument, always gets both: otherwise nixpkgs reads its configuration and
  # overlays from the environment and the home folder. Only this form of a function reveals "...".
  form = toXML imported;
  takesAnything = match ".*<attrspat[^>]* ellipsis=.*" form != null || match ".*<attrspat.*" form == null;
  takes = name: takesAnything || hasAttr name (functionArgs imported);

  # If the file has a function, such as one from { pkgs, ... }, the result is a function, too.
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
  # Checks that Nix really restricts evaluation as requested: `nix repl` of 2.8 ignores pure evaluation.
  isKept =
    if identity.mode == "pure" then !(builtins ? currentSystem)
    else identity.mode == "restricted" -> !(builtins.pathExists "/proc/self/environ");

  set =
    if !isKept then throw "this version of Nix does not support restricted evaluation"
    else if isAttrs packageSet then packageSet
    else throw "the function in its default.nix gives a ${typeOf packageSet}, but must give an attribute set";

  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];
  toLower = replaceStrings upper lower;

  # Names by their lower-case form. If names differ only in case, the first in byte order wins.
  foldedNames = attributes: listToAttrs (map (name: { name = toLower name; value = name; }) (attrNames attributes));

  # Computed once for all requests: the package set may have a hundred thousand names.
  topNames = attrNames set;
  topFolded = foldedNames set;

  # The attributes that a part of a name may mean, in order of preference (the first is used): the name itself; the name
  # with "_" before a leading digit; a name that differs only in case. (Docker allows only lower-case names.)
  meaning = attributes: folded: part:
    let
      candidates = [ part ] ++ (if match "[0-9].*" part == null then [ ] else [ "_${part}" ]);
      exact = filter (name: hasAttr name attributes) candidates;
      alike = filter (name: hasAttr name folded) (map toLower candidates);
    in
    if exact != [ ] then exact else map (name: getAttr name folded) alike;

  # The decoded name is used only if there is no attribute with the name as written.
  spellings = part: if isList part then part else [ part ];
  meaningOf = attributes: folded: part: builtins.concatLists (map (meaning attributes folded) (spellings part));

  # Whether a set in the package set is another instance of it (nixpkgs has `pkgs`, `buildPackages`, `pkgsStatic`): one
  # that has nearly all of its names.
  isInstance = value: 10 * length (attrNames (intersectAttrs set value)) >= 9 * length topNames;

  # `at` is the state after following part of a name. `start`: how many parts lead to the innermost instance of the
  # package set; `packagePath`: the path without trailing outputs; `package`: the value there.
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
        # The package set itself is not a package, even if it has an attribute called `type`.
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
        # The version of some packages is null or a path.
        textOr = other: text: if isString text then plain text else other;
        # The meta of a package also applies to its outputs, which need not repeat it.
        meta = if readsMeta then metaOf package else { };
        output = textOr "out" (value.outputName or null);
      in
      {
        status = "package";
        inherit path packagePath;
        drvPath = unsafeDiscardStringContext value.drvPath;
        # The attribute must not be named outPath: builtins.toJSON turns a set with outPath into a string.
        outputs = [ { inherit output; outputPath = unsafeDiscardStringContext value.outPath; } ]
          ++ (if path == packagePath then otherOutputs meta value output else [ ]);
        pname = textOr parsed.name (value.pname or null);
        version = textOr parsed.version (value.version or null);
        priority = priorityOf meta;
        license = licenseOf 0 (fieldOf meta "license");
      }
    else { status = "other"; inherit path; type = kindOf mayLookInside value; };

  # meta may be missing, fail, or have any value, which must not make the package fail. Only fields that nixpkgs itself
  # evaluates, to check whether a package may be used, are evaluated.
  orElse = other: value: let tried = tryEval value; in if tried.success then tried.value else other;
  metaOf = value: orElse { } (let meta = value.meta or { }; in if isAttrs meta then meta else { });
  fieldOf = meta: name: orElse null (meta.${name} or null);
  plain = text: substring 0 200 (unsafeDiscardStringContext text);
  firstOf = count: list: genList (elemAt list) (if length list < count then length list else count);

  # Like nix-env, which also accepts a number as text (libexpr/get-drvs.cc).
  priorityOf = meta:
    let
      said = fieldOf meta "priority";
      number = if isString said && match "-?(0|[1-9][0-9]{0,8})" (plain said) != null then fromJSON (plain said) else said;
    in
    if !(isInt number) then 5 else if number > 999999999 then 999999999 else if number < -999999999 then -999999999 else number;

  # The outputs of a package to add to its default one: those that nix-env installs, without documentation. A set may
  # name a single output of a package as a package (`dig = bind.dnsutils`): then only that output is used.
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

  # The forms of a license in nixpkgs, with limits on depth and length: text; a list; a set with spdxId, shortName, …;
  # and, in later versions, several licenses joined by an operator (lib/licenses/operators.nix).
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

  # nixpkgs marks its sets of packages, including those that tools should not descend into (`lib.dontRecurseIntoAttrs`).
  # For other sets, some members are examined, if that is allowed and their failures are caught.
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

  images = let value = set.images or { }; in if isAttrs value && !(isDerivation value) then value else { };

  # A recipe as JSON has it: strings without their context; for paths and derivations, where they are in the store.
  isText = value: isString value || isPath value || isAttrs value && value ? outPath;
  textOf = value: if isString value then value else "${value}";
  plainValue = value:
    if isText value then unsafeDiscardStringContext (textOf value)
    else if isList value then map plainValue value
    else if isAttrs value then mapAttrs (_: plainValue) value
    else value;
  # What its strings refer to: derivations with the outputs, and paths that evaluation has put into the store.
  contextsOf = value:
    if isText value then [ (getContext (textOf value)) ]
    else if isList value then concatMap contextsOf value
    else if isAttrs value then concatMap contextsOf (attrValues value)
    else [ ];

  imageAnswer = name:
    if name == null then { names = attrNames images; }
    else if !(hasAttr name images) then { }
    else { recipe = plainValue images.${name}; contexts = contextsOf images.${name}; };

in
request:
let
  answer = attribute:
    let
      limits = (request.limits or { }).${concatStringsSep "." (map (part: head (spellings part)) attribute)} or null;
      # If any name has limits, members may be denied; if not guarded, a failing member would fail the request.
      mayLookInside = request.guarded && !(request ? limits);
      readsMeta = request.meta or true;
      result = look limits { value = set; path = [ ]; start = 0; packagePath = [ ]; package = set; inherit mayLookInside readsMeta; } attribute;
    in
    if request.guarded then guard result else result;

  # A package set that does not evaluate fails the request rather than each attribute.
  results = seq set (map answer request.attributes);
  missing = filter (result: result.status == "missing") results;

  # The versions of all packages, or of those under some names: of the package set, and of sets in it that say that they
  # are to be searched (recurseForDerivations). What fails is left out, as far as Nix catches it. With "details", also what
  # a search shows of each, and packages without a version.
  withDetails = request.details or false;
  versionOf = path: value:
    let
      own = value.version or null;
      version = if isString own then own else (parseDrvName value.name).version;
      isListed = isDerivation value && isString version && (version != "" || withDetails);
      entry = { inherit path; version = plain version; };
      found = if isListed then [ (if withDetails then entry // detailsOf value else entry) ] else [ ];
    in
    orElse [ ] (deepSeq found found);
  detailsOf = value:
    let
      meta = if request.meta or true then metaOf value else { };
      text = name: let said = fieldOf meta name; in if isString said then plain said else null;
      homepage = fieldOf meta "homepage";
      pname = orElse null (value.pname or null);
    in
    {
      pname = if isString pname then plain pname else plain (parseDrvName value.name).name;
      description = text "description";
      program = text "mainProgram";
      homepage = if isString homepage then plain homepage else if isList homepage && homepage != [ ] && orElse false (isString (head homepage)) then plain (head homepage) else null;
      license = licenseOf 0 (fieldOf meta "license");
      available = fieldOf meta "available" != false;
    };
  # A name, with the names of its members if it is such a set. Both are evaluated here, after the trace that tells which
  # name is evaluated (list.ts).
  nameAt = path: value:
    let
      isSet = length path < 3 && isAttrs value && !(isDerivation value) && value.recurseForDerivations or false == true;
      found = {
        listed = versionOf path value;
        sets = orElse [ ] (if isSet then [ { inherit path; names = attrNames value; } ] else [ ]);
      };
    in
    deepSeq found found;
  listed = { path, names }:
    let
      holder = builtins.foldl' (value: name: getAttr name value) set path;
      at = place: let name = elemAt names place; in
        builtins.trace "nixery-place ${toString place}" (if hasAttr name holder then nameAt (path ++ [ name ]) (getAttr name holder) else { listed = [ ]; sets = [ ]; });
      found = genList at (length names);
    in
    { listed = concatMap ({ listed, ... }: listed) found; sets = concatMap ({ sets, ... }: sets) found; };
in
if request ? list then seq set (if request.list == null then topNames else listed request.list)
else if request ? image then imageAnswer request.image
else
{
  results = map (result: removeAttrs result [ "siblings" ]) results;
  # The names that exist at each place, computed once per place.
  siblings = listToAttrs (map ({ place, siblings, ... }: { name = place; value = siblings; }) missing);
}
