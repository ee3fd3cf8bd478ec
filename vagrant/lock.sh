#!/usr/bin/env bash
# Resolves requirements.lock again: the newest versions that pyproject.toml allows, pinned with the
# hashes of their files, in one file that holds for each of PYTHONS (common.sh) on x86-64 and arm64.
# Only the public index is asked (--no-config: nobody's own indexes), and only wheels are taken, so
# that no compiler is needed where the lab is installed.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$PROJECT"

tool=.lab/uv
[ -x "$tool/bin/uv" ] || { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet uv; }

"$tool/bin/uv" pip compile pyproject.toml --extra course --extra test --group build \
    --universal --python-version "${PYTHONS[0]}" --generate-hashes --only-binary :all: --upgrade \
    --no-config --no-header --quiet --output-file .lab/requirements.lock

for machine in x86_64 aarch64; do
    for version in "${PYTHONS[@]}"; do
        echo "lock: all wheels there for Python $version on $machine?"
        "$tool/bin/uv" pip install --dry-run --quiet --no-config --require-hashes --only-binary :all: \
            --python-platform "$machine-unknown-linux-gnu" --python-version "$version" \
            --target .lab/none --requirements .lab/requirements.lock
    done
done

# What `make site` and `make print` install, apart from the lab.
editions=labkit/course/editions
"$tool/bin/uv" pip compile "$editions/requirements.in" --universal \
    --python-version "${PYTHONS[0]}" --generate-hashes --only-binary :all: --upgrade --no-config \
    --no-header --no-annotate --quiet --output-file .lab/editions.txt
{
    echo "# The environment of \`make site\`, pinned and hashed; made by \`make lock\`, not by hand."
    cat .lab/editions.txt
} > "$editions/requirements.txt"
rm .lab/editions.txt

{
    echo "# The lab's own environment, pinned and hashed; made by \`make lock\`, not by hand."
    cat .lab/requirements.lock
} > requirements.lock
rm -r .lab/requirements.lock .lab/none
echo "lock: $(grep -c -E '^[a-z0-9-]+==' requirements.lock) packages in requirements.lock"
