#!/bin/bash
exec bash "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/stand.sh" test_dashboard.py
