# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Video devices that fill chunks of a context directly, by dma-buf import."""
