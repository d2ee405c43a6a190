#!/usr/bin/env python3
"""Validates documents against the published schema with a validator that is not ours.

    python3 validate_schema.py [--bad] FILE…

Good documents must pass. With --bad each must fail: the files named there are wrong in their structure. Needs the
package jsonschema.
"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "connector.schema.json"


def main(arguments):
    bad = "--bad" in arguments
    files = [argument for argument in arguments if argument != "--bad"]
    if not files:
        sys.exit(__doc__)
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    wrong = 0
    for file in files:
        errors = list(validator.iter_errors(json.loads(pathlib.Path(file).read_text())))
        if bool(errors) != bad:
            wrong += 1
            told = errors[0].message if errors else "nothing is found in it"
            print(f"{file}: {told}")
    print(f"{len(files) - wrong} of {len(files)} {'bad' if bad else 'good'} documents as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
