# SPDX-License-Identifier: MIT
"""Random calls at the module, from processes that race and are killed."""
