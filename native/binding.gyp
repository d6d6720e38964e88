{
  "variables": {
    # "", "address" (with undefined) or "thread": node-gyp rebuild --sanitize=address
    "sanitize%": "",
    # The unit tests as a target: node-gyp rebuild --tests=true. run-tests.mjs builds the same program without gyp.
    "tests%": "false",
  },
  "target_defaults": {
    "include_dirs": ["."],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
    "cflags!": ["-fno-exceptions"],
    "cflags": ["-fvisibility=hidden"],
    "cflags_cc": [
      "-std=c++20", "-fexceptions", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow",
      "-isystem", "<(module_root_dir)/third_party",
      "-isystem", "<(module_root_dir)/third_party/libfabric",
      "-isystem", "<!(node -p \"path.resolve(require('node-addon-api').include_dir)\")",
    ],
    "conditions": [
      ["sanitize=='address'", {
        "cflags": ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"],
        "ldflags": ["-fsanitize=address,undefined"],
      }],
      ["sanitize=='thread'", {
        "cflags": ["-fsanitize=thread", "-g"],
        "ldflags": ["-fsanitize=thread"],
      }],
    ],
  },
  "targets": [
    {
      # Everything that knows no Node.
      "target_name": "core",
      "type": "static_library",
      "cflags": ["-fPIC"],
      "sources": [
        "base/error.cc",
        "base/file_descriptor.cc",
        "base/mapping.cc",
        "memory/code_file.cc",
        "memory/delta_file.cc",
        "memory/free_ranges.cc",
        "memory/image.cc",
        "memory/image_table.cc",
        "memory/page_scanner.cc",
        "memory/process_memory.cc",
        "memory/region_store.cc",
        "memory/slab.cc",
        "memory/slab_pool.cc",
        "memory/space.cc",
        "memory/sparse_copy.cc",
        "memory/window.cc",
      ],
    },
    {
      # What goes between servers; nothing in the addon needs it yet.
      "target_name": "fabric",
      "type": "none",
      "conditions": [["tests=='true'", {
        "type": "static_library",
        "cflags": ["-fPIC"],
        "sources": [
          "network/connection.cc",
          "network/domain.cc",
          "network/endpoint.cc",
          "network/libfabric.cc",
          "network/memory_server.cc",
          "network/provider.cc",
          "network/remote_memory.cc",
          "network/staging_arena.cc",
          "network/wire.cc",
        ],
        "link_settings": {"libraries": ["-ldl"]},
      }]],
    },
    {
      "target_name": "sandloom",
      "type": "loadable_module",
      "dependencies": ["core"],
      "defines": [
        "NAPI_VERSION=9",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        # A worker that is being terminated cannot throw: its calls just end.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      ],
      # The store's thread runs code of the library: no worker's end may unload it.
      "ldflags": ["-Wl,-z,nodelete"],
      "sources": [
        "addon/addon.cc",
        "addon/arguments.cc",
        "addon/code_functions.cc",
        "addon/errors.cc",
        "addon/image_functions.cc",
        "addon/process_functions.cc",
        "addon/space_object.cc",
        "addon/store_functions.cc",
      ],
    },
  ],
  "conditions": [
    ["tests=='true'", {
      "targets": [
        {
          "target_name": "core_test",
          "type": "executable",
          "dependencies": ["fabric", "core"],
          "sources": [
            "test/code_file_test.cc",
            "test/domain_test.cc",
            "test/free_ranges_test.cc",
            "test/image_test.cc",
            "test/libfabric_test.cc",
            "test/main.cc",
            "test/memory_server_test.cc",
            "test/page_scanner_test.cc",
            "test/process_memory_test.cc",
            "test/region_store_test.cc",
            "test/space_test.cc",
            "test/window_test.cc",
            "test/wire_test.cc",
          ],
        },
        {
          # Another server, for the tests.
          "target_name": "fabric_server",
          "type": "executable",
          "dependencies": ["fabric", "core"],
          "sources": ["programs/fabric_server.cc"],
        },
      ],
    }],
  ],
}
